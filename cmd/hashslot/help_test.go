package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
)

func TestHelp(t *testing.T) {
	assert.Equal(t, result{out: usage()}, runOn("", "help"))
	assert.Equal(t, runOn("", "plan", "drain", "-h"), runOn("", "help", "plan", "drain"))
	for _, arg := range []string{"-h", "-help", "--help"} {
		assert.Equal(t, runOn("", "plan", arg), runOn("", "help", "plan"))
	}
	assert.Equal(t, result{2, "", "hashslot help: unknown command \"check x\" (hashslot help -h for help)\n"}, runOn("", "help", "check", "x"))
	var v versionJSON
	require.NoError(t, json.Unmarshal([]byte(runOn("", "version", "-format", "json").out), &v))
	info, _ := debug.ReadBuildInfo()
	assert.Equal(t, versionOf(info), v)
	info = &debug.BuildInfo{Main: debug.Module{Version: "v1"}, Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"}, {Key: "x", Value: "y"}}}
	for want, got := range map[string]versionJSON{
		"unknown\ncommit unknown": versionOf(nil), "v1\ncommit abc, modified": versionOf(info),
		"v1\ncommit unknown": versionOf(&debug.BuildInfo{Main: info.Main}),
	} {
		assert.Equal(t, "github.com/hashslot/hashslot "+want+"\nkernel "+hashslot.Kernel()+"\n"+runtime.Version()+" "+runtime.GOOS+"/"+runtime.GOARCH+"\n", got.text())
	}
	text := runOn("", "-version")
	assert.Equal(t, text, runOn("", "--version"))
	assert.Equal(t, text, runOn("", "version"))
	assert.Equal(t, result{out: v.text()}, text)
	assert.Equal(t, result{2, "", "hashslot version: unexpected argument \"x\" (hashslot version -h for help)\n"}, runOn("", "version", "x"))
}

// Every command and every option is completed.
func TestCompletion(t *testing.T) {
	assert.Equal(t, result{2, "", "hashslot completion: name one shell: bash, zsh or fish (hashslot completion -h for help)\n"}, runOn("", "completion", "sh"))
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
	lines := []string{
		"hashslot che", "hashslot plan re", "hashslot check -str", "hashslot plan fix -un", "hashslot draw -theme d", "hashslot help ver",
		"hashslot completion z", "hashslot plan drain -format mig", "hashslot plan drain -steps n", "hashslot plan create -tool redis",
	}
	want := []string{
		"check", "rebalance reshard", "-strict", "-unreachable", "dark", "version",
		"zsh", "migrateslots migration", "none", "redis-7.0 redis-8.6",
	}
	// Each program runs in a folder with the script, gets a line in each argument, and
	// prints a line for each.
	for shell, run := range map[string]string{
		"bash": `source ./script; for line; do COMP_WORDS=($line); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _hashslot; echo "${COMPREPLY[*]}"; done`,
		"fish": `source ./script; for line in $argv; complete -C $line | string split -f 1 \t | string join " "; end`,
		"zsh": `
			zmodload zsh/zpty
			zpty inner env ZDOTDIR=$PWD TERM=dumb zsh -d -i
			zpty -r inner out '*READY*'
			for line; do zpty -w -n inner $line$'\t'; done
			zpty -w inner exit
			while zpty -r inner out; do :; done
			cat found`,
	} {
		if testing.Short() && shell != "bash" {
			continue // the others start slowly
		}
		program, err := exec.LookPath(shell)
		if err != nil {
			require.Empty(t, os.Getenv("HASHSLOT_REQUIRE_SHELLS"), err)
			continue
		}
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "script"), []byte(scripts[shell]), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, ".zshrc"), []byte(zshrc), 0o600))
		args := map[string][]string{"bash": {"--norc", "-c", run, "-"}, "fish": {"--no-config", "-c", run}, "zsh": {"-f", "-c", run, "-"}}[shell]
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		cmd := exec.CommandContext(ctx, program, append(args, lines...)...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "HOME="+dir)
		out, err := cmd.CombinedOutput()
		cancel()
		require.NoError(t, err, "%s: %s", shell, out)
		assert.Equal(t, want, strings.Split(strings.TrimSpace(string(out)), "\n"), shell)
	}
}

// zshrc makes the Tab key print the completions of the line, and clear the line.
const zshrc = `
autoload -Uz compinit && compinit -D -u
source $ZDOTDIR/script
setopt no_beep
zstyle ':completion:*' insert-tab false
compadd() {
	if [[ " ${(j: :)@[1,(i)--]} " != *' '-[OAD]' '* ]]; then
		local -a some
		builtin compadd -A some "$@"
		found+=($some)
	fi
	builtin compadd "$@"
}
list() {
	typeset -ga found=()
	zle complete-word
	print -r -- $found >>$ZDOTDIR/found
	zle kill-whole-line
}
zle -N list
bindkey '^I' list
PROMPT=READY
`
