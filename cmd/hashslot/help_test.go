package main

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestHelp(t *testing.T) {
	assert.Equal(t, result{out: usage()}, runOn("", "help"))
	assert.Equal(t, runOn("", "plan", "drain", "-h"), runOn("", "help", "plan", "drain"))
	assert.Equal(t, runOn("", "plan", "--help"), runOn("", "help", "plan"))
	assert.Equal(t, result{2, "", "hashslot help: there is no command \"check x\"; hashslot -h lists them (hashslot help -h for help)\n"}, runOn("", "help", "check", "x"))
	var v versionJSON
	require.NoError(t, json.Unmarshal([]byte(runOn("", "version", "-format", "json").out), &v))
	assert.Equal(t, "github.com/hashslot/hashslot", v.Module)
	text := runOn("", "-version")
	assert.Equal(t, text, runOn("", "version"))
	for _, part := range []string{v.Module + " " + v.Version + "\n", "\nkernel " + v.Kernel + "\n", "\n" + v.Go + " " + v.Platform + "\n"} {
		assert.Contains(t, text.out, part)
	}
	assert.Equal(t, exitUsage, runOn("", "version", "x").code)
}

// Every command and option is completed.
func TestCompletion(t *testing.T) {
	assert.Equal(t, result{2, "", "hashslot completion: which shell: bash, zsh or fish? (hashslot completion -h for help)\n"}, runOn("", "completion", "sh"))
	scripts := map[string]string{}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		r := runOn("", "completion", shell)
		require.Equal(t, result{out: r.out}, r)
		scripts[shell] = r.out
		for _, c := range all() {
			assert.Contains(t, r.out, c.word(), shell)
			for _, o := range c.options() {
				assert.Regexp(t, `-o? ?`+o.name+`\b`, r.out, shell)
			}
		}
	}
	bash, err := exec.LookPath("bash")
	if err != nil {
		return
	}
	for line, want := range map[string]string{
		"hashslot che": "check", "hashslot plan re": "rebalance reshard", "hashslot check -str": "-strict",
		"hashslot plan fix -un": "-unreachable", "hashslot draw -theme d": "dark", "hashslot help ver": "version", "hashslot completion z": "zsh",
		"hashslot plan drain -format mig": "migrateslots migration", "hashslot plan drain -steps n": "none",
		"hashslot plan create -tool redis": "redis-7.0 redis-8.6",
	} {
		words := strings.Fields(line)
		cmd := exec.Command(bash, "--norc", "-c", scripts["bash"]+"\nCOMP_WORDS=("+line+"); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _hashslot; echo \"${COMPREPLY[*]}\"")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		assert.Equal(t, want+"\n", string(out), words)
	}
}
