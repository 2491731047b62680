package house

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The tests of this file check that every CPU for which a kernel is chosen has all of the
// kernel's instructions. An emulator does not notice all violations.

// instruction is one line of the assembler's listing.
type instruction struct {
	pc       int
	name     string // without suffixes such as .Z
	operands string
	line     string // of the source, for messages
}

var listingLine = regexp.MustCompile(`^\t0x[0-9a-f]+ (\d+) \(([^)]*)\)\t([A-Z0-9]+)[A-Z.]*(?:\t(.*))?$`)

// listing returns the instructions of the assembly functions for an
// architecture, macros expanded.
func listing(t *testing.T, arch string) map[string][]instruction {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("the go command is not here")
	}
	cmd := exec.Command("go", "build", "-asmflags=-S", ".")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOARCH="+arch, "GOOS=linux", "CGO_ENABLED=0", "GOFLAGS=")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	functions := map[string][]instruction{}
	function := ""
	for line := range strings.Lines(strings.ReplaceAll(string(out), module+".", "")) {
		m := listingLine.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			continue
		}
		pc, err := strconv.Atoi(m[1])
		require.NoError(t, err)
		switch m[3] {
		case "TEXT":
			function, _, _ = strings.Cut(m[4], "(")
			function = strings.TrimSuffix(function, "<>") // as jumps name it
		case "FUNCDATA", "PCDATA", "NOP", "PCALIGN":
		default:
			functions[function] = append(functions[function], instruction{pc, m[3], m[4], filepath.Base(m[2])})
		}
	}
	require.NotEmpty(t, functions)
	return functions
}

// The features that an instruction needs: in its legacy form on registers of 128 bits; on
// registers of 256 bits; and on registers of 512 bits, or with one of the registers or
// masks that AVX-512 adds. "" means every CPU of the architecture.
var amd64Features = func() map[string][3]string {
	m := map[string][3]string{}
	add := func(sse, avx, avx512 string, names string) {
		for name := range strings.FieldsSeq(names) {
			m[name] = [3]string{sse, avx, avx512}
		}
	}
	add("", "", "", `MOVQ MOVL MOVW MOVB MOVBLZX MOVWLZX ADDQ ADDL SUBQ SUBL LEAQ LEAL ANDQ ANDL ORQ ORL XORQ XORL NOTQ NEGQ NEGL
		INCQ INCL DECQ DECL SHLQ SHLL SHRQ SHRL SARQ ROLW TESTQ TESTL TESTB CMPQ CMPL CMPB BSRL BSRQ BSFL BSFQ BTQ BTL
		CMOVQEQ CMOVQNE CMOVQCS CMOVQCC CMOVQHI CMOVQLS CMOVQLT CMOVQGT CMOVLEQ CMOVLNE BSWAPQ BSWAPL IMUL3Q
		PUSHQ POPQ JMP JEQ JNE JHI JLS JCS JCC JLT JGE JGT JLE JMI JPL CALL RET
		PREFETCHT0 PREFETCHNTA MOVOU MOVO MOVUPS MOVAPS PXOR POR PAND PANDN PADDQ PSUBQ PCMPEQB PCMPEQL PMOVMSKB PEXTRW PINSRW
		PSRLQ PSLLQ PSRLO PSLLO PSHUFD PSHUFL PUNPCKLQDQ PUNPCKHQDQ MOVHLPS MOVLHPS MOVHPS`)
	add("SSSE3", "", "", "PSHUFB PALIGNR")
	add("SSE4.1", "", "", "PTEST PINSRQ PEXTRQ PINSRD PEXTRD PBLENDW PBLENDVB PCMPEQQ PMINUD")
	add("CLMUL", "", "", "PCLMULQDQ")
	add("BMI1", "", "", "TZCNTQ TZCNTL ANDNQ ANDNL BLSMSKQ BLSMSKL BLSRQ BLSIQ BEXTRQ")
	add("BMI2", "", "", "BZHIQ BZHIL SARXQ SARXL SHLXQ SHRXQ SHLXL SHRXL RORXQ RORXL MULXQ PDEPQ PEXTQ")
	add("MOVBE", "", "", "MOVBEQQ MOVBEQ MOVBEL MOVBELL")
	add("POPCNT", "", "", "POPCNTQ POPCNTL")
	add("LZCNT", "", "", "LZCNTQ LZCNTL")
	add("AVX", "AVX", "AVX512F", "VMOVDQU VMOVDQA VZEROUPPER VMOVQ VMOVD VMOVHPS VPTEST")
	add("AVX", "AVX2", "AVX512F", `VPXOR VPOR VPAND VPANDN VPMAXUD VPSLLVD VPADDD VPSUBQ VPMOVZXWD VPADDQ VPSUBD VPMOVZXDQ VPSRLQ VPSLLQ VPUNPCKLDQ VPUNPCKHDQ VPUNPCKLQDQ VPUNPCKHQDQ
		VPSHUFD VPERMQ`)
	add("AVX", "AVX2", "AVX512BW", "VPSHUFB VPCMPEQB VPMINUB VPADDB VPSUBB VPSUBUSB VPUNPCKLBW VPUNPCKHBW VPUNPCKLWD VPUNPCKHWD VPSRLDQ VPSLLDQ VPALIGNR")
	add("AVX", "AVX", "AVX512BW", "VPEXTRW VPINSRW VPEXTRQ VPINSRQ")
	add("AVX2", "AVX2", "AVX512F", "VPBROADCASTQ VPBROADCASTD VBROADCASTI128 VINSERTI128 VEXTRACTI128 VPERM2I128")
	add("AVX2", "AVX2", "AVX512BW", "VPBROADCASTB VPBROADCASTW")
	add("AVX512F", "AVX512F", "AVX512F", `VPXORQ VPXORD VPORQ VPANDQ VPANDNQ VMOVDQU64 VMOVDQU32 VMOVDQA64 VMOVDQA32 VPTERNLOGQ VPTERNLOGD
		VPTESTMQ VPTESTNMQ VPTESTMD VPMOVDB VBROADCASTI32X4 VBROADCASTI64X4 VINSERTI32X4 VINSERTI64X4 VEXTRACTI32X4 VEXTRACTI64X4
		VPERMT2Q VPERMI2Q VPERMT2D VPERMI2D VSHUFI64X2 VSHUFI32X4 VALIGNQ VALIGND VPCMPUQ VPCMPUD VPMOVQW VPMOVDW VPMOVQD VPROLQ
		VPCOMPRESSQ VPEXPANDQ KMOVW KORTESTW KORW KANDW KXORW KNOTW VPGATHERQQ`)
	add("AVX512DQ", "AVX512DQ", "AVX512DQ", "VEXTRACTI64X2 VINSERTI64X2 VBROADCASTI64X2 KMOVB KORTESTB KTESTB KORB KANDB VPMOVQ2M VPMOVM2Q")
	add("AVX512BW", "AVX512BW", "AVX512BW", `VMOVDQU8 VMOVDQU16 VPCMPUB VPCMPUW VPTESTMB VPTESTNMB VPMOVM2B VPMOVB2M VPERMW
		KXNORQ KMOVQ KMOVD KORTESTQ KORTESTD KTESTQ KORQ KANDQ KSHIFTRQ KSHIFTLQ KNOTQ KUNPCKDQ`)
	add("AVX512VBMI", "AVX512VBMI", "AVX512VBMI", "VPERMB VPERMT2B VPERMI2B VPMULTISHIFTQB")
	add("AVX512VBMI2", "AVX512VBMI2", "AVX512VBMI2", "VPEXPANDB VPEXPANDW VPCOMPRESSB VPSHLDQ VPSHRDQ")
	add("AVX512CD", "AVX512CD", "AVX512CD", "VPLZCNTD VPLZCNTQ")
	add("GFNI", "GFNI", "GFNI", "VGF2P8AFFINEQB VGF2P8MULB")
	add("CLMUL", "VPCLMULQDQ", "VPCLMULQDQ", "VPCLMULQDQ")
	return m
}()

var (
	wide     = regexp.MustCompile(`\bZ\d+\b`)
	half     = regexp.MustCompile(`\bY\d+\b`)
	xmm      = regexp.MustCompile(`\bX\d+\b`)
	extended = regexp.MustCompile(`\b[XY](1[6-9]|2\d|3[01])\b|\bK[0-7]\b`)
)

// needsOf returns the features that an instruction needs.
func needsOf(t *testing.T, in instruction) []string {
	t.Helper()
	features, known := amd64Features[in.name]
	if !known {
		t.Errorf("%s: %s is an instruction whose feature this test does not know", in.line, in.name)
		return nil
	}
	evex := wide.MatchString(in.operands) || extended.MatchString(in.operands) || strings.HasPrefix(features[0], "AVX512")
	switch {
	case in.name[0] != 'V' && in.name[0] != 'K':
		return features[:1]
	case evex:
		needs := []string{features[2]}
		scalar := in.name == "VMOVQ" || in.name == "VMOVHPS" || in.name == "VMOVD" || in.name == "VPEXTRW" || in.name == "VPINSRW" ||
			strings.HasPrefix(in.name, "VINSERT") || strings.HasPrefix(in.name, "VEXTRACT")
		if !scalar && !wide.MatchString(in.operands) && (half.MatchString(in.operands) || xmm.MatchString(in.operands)) {
			needs = append(needs, "AVX512VL")
		}
		return needs
	case half.MatchString(in.operands):
		return features[1:2]
	default:
		return []string{features[0], "AVX"}
	}
}

func TestInstructionsBelongToTheirKernel(t *testing.T) {
	functions := listing(t, "amd64")
	// The numbers and needs of the kernels, as in crc16_amd64.go, and the functions that
	// Go code calls when the kernel is in use.
	clmul := []string{"", "CLMUL", "SSSE3", "SSE4.1"}
	avx2 := append(slices.Clip(clmul), "AVX", "AVX2")
	avx512 := append(slices.Clip(avx2), "BMI1", "BMI2", "AVX512F", "AVX512BW", "AVX512VL", "AVX512DQ", "AVX512CD", "AVX512VBMI", "AVX512VBMI2",
		"GFNI", "VPCLMULQDQ")
	called := map[string]bool{}
	for _, kernel := range []struct {
		name    string
		tier    int
		has     []string
		entries []string
	}{
		// The function that of calls depends on the kernel.
		{"generic", 0, []string{""}, []string{"of", "ofPlain", "useOf"}},
		{"clmul", 1, clmul, []string{"of", "of16", "sum", "slots1", "long"}},
		{"avx2", 2, avx2, []string{"of", "of16", "sum", "slots1", "long"}},
		{"avx2, with VPCLMULQDQ", 2, append(slices.Clip(avx2), "VPCLMULQDQ"), []string{"long"}},
		{"avx2, with GFNI", 2, append(slices.Clip(avx2), "GFNI"), []string{"slotsShort"}},
		{"avx512", 3, avx512, []string{"of", "of64", "sum", "slots1", "slots8", "long"}},
	} {
		for _, in := range reachable(t, functions, kernel.tier, kernel.has, kernel.entries, called) {
			for _, feature := range needsOf(t, in) {
				assert.Contains(t, kernel.has, feature, "kernel %s: %s: %s %s", kernel.name, in.line, in.name, in.operands)
			}
		}
	}
	for name := range functions {
		assert.True(t, called[name], "%s: no kernel is said to call it", name)
	}
}

// reachable returns the instructions that can run in a tier on a CPU with these features. A
// jump that depends on the tier or on a feature goes only one way.
func reachable(t *testing.T, functions map[string][]instruction, tier int, has, entries []string, called map[string]bool) []instruction {
	t.Helper()
	var found []instruction
	type place struct {
		function string
		index    int
	}
	seen := map[place]bool{}
	var walk func(place)
	walk = func(at place) {
		body := functions[at.function]
		for !seen[at] {
			require.Less(t, at.index, len(body), "%s runs past its end", at.function)
			seen[at] = true
			called[at.function] = true
			in := body[at.index]
			found = append(found, in)
			next := place{at.function, at.index + 1}
			switch {
			case in.name == "RET":
				return
			case in.name == "LEAQ":
				// Taking the address of a function counts as a jump to its start, and to each
				// place in it that the instruction before does not lead to.
				name, _, _ := strings.Cut(in.operands, "<>(")
				for i := range functions[name] {
					if i == 0 || functions[name][i-1].name == "JMP" || functions[name][i-1].name == "RET" {
						walk(place{name, i})
					}
				}
			case in.name == "JMP" || in.name == "CALL" || in.name[0] == 'J':
				target, err := strconv.Atoi(in.operands)
				if err != nil {
					// Another function, of assembly or Go.
					name, _, _ := strings.Cut(in.operands, "(")
					if functions[name] != nil {
						walk(place{name, 0})
					}
				} else {
					i := slices.IndexFunc(body, func(in instruction) bool { return in.pc == target })
					require.GreaterOrEqual(t, i, 0, "%s: no instruction at %d", in.line, target)
					taken, decided := decide(t, body, at.index, tier, has)
					if !decided || taken {
						walk(place{at.function, i})
					}
					if decided && taken {
						return
					}
				}
				if in.name == "JMP" {
					return
				}
			}
			at = next
		}
	}
	for _, name := range entries {
		require.NotEmpty(t, functions[name], "no function %s", name)
		walk(place{name, 0})
	}
	return found
}

var (
	tierTest  = regexp.MustCompile(`^tier\(SB\), \$(\d+)$`)
	limitTest = regexp.MustCompile(`^AX, choice(\+8)?\(SB\)$`)
	clmulTest = regexp.MustCompile(`^vpclmulqdq\(SB\), \$0$`)
)

// decide returns whether the conditional jump at index is taken in the tier, if the jump
// follows a comparison of the tier, one of a limit of choice, which is 0 below tier 3, or one of
// vpclmulqdq, which is 0 without that feature.
func decide(t *testing.T, body []instruction, index, tier int, has []string) (taken, decided bool) {
	t.Helper()
	if index == 0 || body[index].name == "JMP" {
		return false, false
	}
	if limitTest.MatchString(body[index-1].operands) && tier < 3 {
		require.Contains(t, []string{"JCC", "JCS"}, body[index].name, "%s: a jump on a limit that this test does not know", body[index].line)
		return body[index].name == "JCC", true
	}
	if clmulTest.MatchString(body[index-1].operands) {
		require.Equal(t, "JEQ", body[index].name, "%s: a jump on a feature that this test does not know", body[index].line)
		return !slices.Contains(has, "VPCLMULQDQ"), true
	}
	m := tierTest.FindStringSubmatch(body[index-1].operands)
	if m == nil || body[index-1].name != "CMPB" {
		return false, false
	}
	n, err := strconv.Atoi(m[1])
	require.NoError(t, err)
	switch body[index].name {
	case "JCS":
		return tier < n, true
	case "JCC":
		return tier >= n, true
	case "JHI":
		return tier > n, true
	case "JLS":
		return tier <= n, true
	case "JEQ":
		return tier == n, true
	case "JNE":
		return tier != n, true
	}
	t.Fatalf("%s: a jump on the tier that this test does not know: %s", body[index].line, body[index].name)
	return
}

// TestSHA3InstructionsAreApart checks that a function for arm64 needs the extension SHA3
// if and only if its name says so.
func TestSHA3InstructionsAreApart(t *testing.T) {
	sha3 := []string{"VEOR3", "VBCAX", "VRAX1", "VXAR"}
	for name, body := range listing(t, "arm64") {
		i := slices.IndexFunc(body, func(in instruction) bool { return slices.Contains(sha3, in.name) })
		if strings.Contains(name, "SHA3") {
			assert.GreaterOrEqual(t, i, 0, "%s needs no SHA3", name)
		} else if i >= 0 {
			assert.Fail(t, "needs SHA3", "%s: %s %s", name, body[i].line, body[i].name)
		}
	}
}

// TestInlining checks that public functions are inlined, so that they cost no second call.
func TestInlining(t *testing.T) {
	out := command(t, "build", "-gcflags=-m", ".")
	for _, name := range []string{"Of", "OfBytes", "Checksum", "ChecksumString", "Update", "Slot.Valid", "Kernel"} {
		assert.Regexp(t, `: can inline `+regexp.QuoteMeta(name)+`\n`, out)
	}
}
