package main

import (
	"context"
	"encoding/json"
	"flag"
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
	assert.Equal(t, exitUsage, runOn("", "completion").code)
	assert.Equal(t, exitUsage, runOn("", "completion", "bash", "zsh").code)
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

// The scripts for a few commands and options.
func TestCompletionScripts(t *testing.T) {
	before, kinds := commands, planCommand.kinds
	defer func() { commands, planCommand.kinds = before, kinds }()
	run := func(e *env) int {
		var fs flag.FlagSet
		if e.cmd.name == "show" {
			fs.String("format", "", "the `format`: a, b or c")
			fs.Bool("all", false, "it's [all]:\nreally")
			fs.Int("n", 0, "`n` times")
		}
		code, _ := e.parse(&fs)
		return code
	}
	planCommand.kinds = []*command{{name: "plan one", short: "the first", run: run}, {name: "plan two", short: "the second", run: run}}
	commands = []*command{{name: "show", short: "it's: x", run: run}, &planCommand, &completionCommand, &helpCommand}
	for want, got := range map[string]string{bashScript: bashCompletion(), zshScript: zshCompletion(), fishScript: fishCompletion()} {
		assert.Equal(t, want, got)
	}
	for o, want := range map[option]string{
		{name: "format", usage: "the x: a or b"}: "a b", {name: "theme", usage: "the x: a or b"}: "a b", {name: "steps", usage: "the x: a or b"}: "a b",
		{name: "in"}: "text json", {name: "tool"}: "valkey-9.1 valkey-8.0 redis-7.0 redis-8.6", {name: "x", usage: "the x: a or b"}: "",
	} {
		assert.Equal(t, want, strings.Join(o.values(), " "))
	}
}

const bashScript = `# bash completion for hashslot
_hashslot() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} cmd=${COMP_WORDS[1]} words=
	if [[ $COMP_CWORD -gt 2 && $cmd == plan ]]; then
		cmd="plan ${COMP_WORDS[2]}"
	fi
	if [[ $COMP_CWORD -eq 1 ]]; then
		words='show plan completion help'
	else
		case "$cmd $prev" in
		"show -format") words='a b c' ;;
		esac
		if [[ -z $words ]]; then
			case "$cmd" in
			"show") words='-all -format -n -o' ;;
			"plan") words='one two' ;;
			"plan one") words='-o' ;;
			"plan two") words='-o' ;;
			"completion") words='bash zsh fish -o' ;;
			"help") words='show plan completion help -o' ;;
			esac
		fi
	fi
	COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _hashslot hashslot
`

const zshScript = `#compdef hashslot
# zsh completion for hashslot
_hashslot() {
	local cmd=$words[2]
	if (( CURRENT == 2 )); then
		local -a list=(
			'show:it'\''s\: x'
			'plan:which commands to send to which node to change a cluster'
			'completion:a shell script that completes commands and options'
			'help:describe a command'
		)
		_describe command list
		return
	fi
	if [[ $cmd == plan ]] && (( CURRENT == 3 )); then
		local -a list=(
			'one:the first'
			'two:the second'
		)
		_describe plan list
		return
	fi
	if [[ $cmd == plan ]]; then
		cmd="plan $words[3]"
	fi
	case $cmd in
	'show')
		_arguments \
			'*-all[it'\''s \[all\]\: really]' \
			'*-format[the format\: a, b or c]:format:(a b c)' \
			'*-n[n times]:n: ' \
			'*-o[write to file; - is standard output]:file:_files' \
			'*:argument:_files' ;;
	'plan one')
		_arguments \
			'*-o[write to file; - is standard output]:file:_files' \
			'*:argument:_files' ;;
	'plan two')
		_arguments \
			'*-o[write to file; - is standard output]:file:_files' \
			'*:argument:_files' ;;
	'completion')
		_arguments \
			'*-o[write to file; - is standard output]:file:_files' \
			'*:word:(bash zsh fish)' ;;
	'help')
		_arguments \
			'*-o[write to file; - is standard output]:file:_files' \
			'*:word:(show plan completion help)' ;;
	esac
}
if [[ $funcstack[1] == _hashslot ]]; then
	_hashslot "$@"
else
	compdef _hashslot hashslot
fi
`

const fishScript = `# fish completion for hashslot
complete -c hashslot -n __fish_use_subcommand -f -a show -d 'it'\''s: x'
complete -c hashslot -n __fish_use_subcommand -f -a plan -d 'which commands to send to which node to change a cluster'
complete -c hashslot -n __fish_use_subcommand -f -a completion -d 'a shell script that completes commands and options'
complete -c hashslot -n __fish_use_subcommand -f -a help -d 'describe a command'
complete -c hashslot -n '__fish_seen_subcommand_from show' -o all -d 'it'\''s [all]: really'
complete -c hashslot -n '__fish_seen_subcommand_from show' -o format -d 'the format: a, b or c' -x -a 'a b c'
complete -c hashslot -n '__fish_seen_subcommand_from show' -o n -d 'n times' -x
complete -c hashslot -n '__fish_seen_subcommand_from show' -o o -d 'write to file; - is standard output' -r
complete -c hashslot -n '__fish_seen_subcommand_from plan; and not __fish_seen_subcommand_from one two' -f -a one -d 'the first'
complete -c hashslot -n '__fish_seen_subcommand_from plan; and not __fish_seen_subcommand_from one two' -f -a two -d 'the second'
complete -c hashslot -n '__fish_seen_subcommand_from plan; and __fish_seen_subcommand_from one' -o o -d 'write to file; - is standard output' -r
complete -c hashslot -n '__fish_seen_subcommand_from plan; and __fish_seen_subcommand_from two' -o o -d 'write to file; - is standard output' -r
complete -c hashslot -n '__fish_seen_subcommand_from completion' -f -a 'bash zsh fish'
complete -c hashslot -n '__fish_seen_subcommand_from completion' -o o -d 'write to file; - is standard output' -r
complete -c hashslot -n '__fish_seen_subcommand_from help' -f -a 'show plan completion help'
complete -c hashslot -n '__fish_seen_subcommand_from help' -o o -d 'write to file; - is standard output' -r
`

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
