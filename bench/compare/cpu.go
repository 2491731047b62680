package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
	"unicode"

	"github.com/klauspost/cpuid/v2"
)

// cpuName returns the CPU's name, with family and model if the name says nothing.
func cpuName() string {
	name := strings.TrimSpace(cpuid.CPU.BrandName)
	if name == "" && runtime.GOOS == "linux" {
		if f, err := os.Open("/proc/cpuinfo"); err == nil {
			defer f.Close()
			name = armName(bufio.NewScanner(f))
		}
	}
	return named(name, cpuid.CPU.Family, cpuid.CPU.Model)
}

func named(name string, family, model int) string {
	name = strings.NewReplacer("(R)", "", "(TM)", "", "(tm)", "").Replace(name)
	name = strings.Join(strings.Fields(name), " ")
	if name == "" {
		name = "unknown CPU"
	}
	if !strings.ContainsFunc(name, unicode.IsDigit) && family != 0 {
		name += fmt.Sprintf(" (family %d model %d)", family, model)
	}
	return name
}

// Cores of Arm by the part numbers of their technical reference manuals, as Linux
// shows them.
var armParts = map[string]string{
	"0xd08": "Cortex-A72", "0xd0b": "Cortex-A76", "0xd0c": "Neoverse N1", "0xd40": "Neoverse V1",
	"0xd49": "Neoverse N2", "0xd4f": "Neoverse V2", "0xd83": "Neoverse V3", "0xd84": "Neoverse V3", "0xd8e": "Neoverse N3",
}

// armName reads /proc/cpuinfo of arm64, which has numbers in place of a name.
func armName(lines *bufio.Scanner) string {
	var implementer, part string
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		switch strings.TrimSpace(field) {
		case "CPU implementer":
			implementer = strings.TrimSpace(value)
		case "CPU part":
			part = strings.TrimSpace(value)
		}
	}
	const arm = "0x41"
	switch name := armParts[part]; {
	case implementer == arm && name != "":
		return name
	case part != "":
		return fmt.Sprintf("implementer %s part %s", implementer, part)
	}
	return ""
}
