package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap/plan/valkeycli"
)

var helpCommand = command{
	name:  "help",
	args:  "[COMMAND]",
	short: "describe a command",
	run:   runHelp,
	doc: `Without a COMMAND, help lists the commands.
`,
	example: `$ hashslot help check
`,
}

func runHelp(e *env) int {
	var fs flag.FlagSet
	if code, ok := e.parse(&fs); !ok {
		return code
	}
	if len(e.args) == 0 {
		return e.print(usage())
	}
	c, rest := find(e.args)
	if len(rest) > 0 { // what names no command
		return e.badUse(fmt.Errorf("unknown command %q", strings.Join(e.args, " ")))
	}
	return e.print(c.page())
}

var versionCommand = command{
	name:  "version",
	short: "the version of the program, the kernel in use and Go",
	run:   runVersion,
	doc: `The kernel is the code that computes slots on this CPU: "generic" is plain Go, all
others are assembly. JSON is one object.
`,
	example: `$ hashslot version -format json
`,
}

type versionJSON struct {
	Module   string `json:"module"`
	Version  string `json:"version"`
	Commit   string `json:"commit"`   // "" if the build does not record it
	Modified bool   `json:"modified"` // the sources are not those of the commit
	Kernel   string `json:"kernel"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func runVersion(e *env) int {
	var (
		fs   flag.FlagSet
		form outputFlag
	)
	form.add(&fs)
	if code, ok := e.parse(&fs); !ok {
		return code
	}
	if err := first(form.check(), e.noArguments()); err != nil {
		return e.badUse(err)
	}
	info, _ := debug.ReadBuildInfo()
	v := versionOf(info)
	if form.json() {
		return e.print(string(line(v)))
	}
	return e.print(v.text())
}

// versionOf returns the version of a build. A nil info says nothing about it.
func versionOf(info *debug.BuildInfo) versionJSON {
	v := versionJSON{Module: "github.com/hashslot/hashslot", Version: "unknown", Kernel: hashslot.Kernel(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info == nil {
		return v
	}
	v.Version = info.Main.Version
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

func (v versionJSON) text() string {
	commit := cmp.Or(v.Commit, "unknown")
	if v.Modified {
		commit += ", modified"
	}
	return fmt.Sprintf("%s %s\ncommit %s\nkernel %s\n%s %s\n", v.Module, v.Version, commit, v.Kernel, v.Go, v.Platform)
}

var completionCommand = command{
	name:  "completion",
	args:  "bash|zsh|fish",
	short: "a shell script that completes commands and options",
	run:   runCompletion,
	doc: `Install the script where the shell reads it when it starts:

    echo 'source <(hashslot completion bash)' >> ~/.bashrc
    hashslot completion zsh > "${fpath[1]}/_hashslot"
    hashslot completion fish > ~/.config/fish/completions/hashslot.fish
`,
	example: `$ hashslot completion bash -o hashslot.bash
`,
}

func runCompletion(e *env) int {
	var fs flag.FlagSet
	if code, ok := e.parse(&fs); !ok {
		return code
	}
	scripts := map[string]func() string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}
	if len(e.args) != 1 || scripts[e.args[0]] == nil {
		return e.badUse(errors.New("name one shell: bash, zsh or fish"))
	}
	return e.print(scripts[e.args[0]]())
}

// words returns the words that may follow a command, for completion.
func (c *command) words() (list []string) {
	for _, k := range c.kinds {
		list = append(list, k.word())
	}
	switch c.name {
	case "help":
		for _, k := range commands {
			list = append(list, k.name)
		}
	case "completion":
		list = []string{"bash", "zsh", "fish"}
	}
	return list
}

// An option is an option of a command, for completion.
type option struct {
	name, usage string
	value       string // the name of its value; "" if it takes none
}

func (c *command) options() (list []option) {
	if c.kinds != nil {
		return nil
	}
	c.flags().VisitAll(func(f *flag.Flag) {
		value, usage := flag.UnquoteUsage(f)
		usage = strings.ReplaceAll(usage, "\n", " ")
		list = append(list, option{f.Name, usage, value})
	})
	return list
}

// values returns the words that an option accepts, or nil if any value will do.
func (o option) values() []string {
	switch o.name {
	case "format", "theme", "steps":
		_, list, _ := strings.Cut(o.usage, ": ")
		return strings.FieldsFunc(strings.ReplaceAll(list, " or ", ","), func(c rune) bool { return c == ',' || c == ' ' })
	case "in":
		return []string{"text", "json"}
	case "tool":
		return []string{valkeycli.ToolValkey91.String(), valkeycli.ToolValkey80.String(), valkeycli.ToolRedis70.String(), valkeycli.ToolRedis86.String()}
	}
	return nil
}

func commandWords(commands []*command) (list []string) {
	for _, c := range commands {
		list = append(list, c.word())
	}
	return list
}

// bashCompletion returns the script for bash. It completes files where no word fits.
func bashCompletion() string {
	var b strings.Builder
	b.WriteString(`# bash completion for hashslot
_hashslot() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} cmd=${COMP_WORDS[1]} words=
	if [[ $COMP_CWORD -gt 2 && $cmd == plan ]]; then
		cmd="plan ${COMP_WORDS[2]}"
	fi
`)
	fmt.Fprintf(&b, "\tif [[ $COMP_CWORD -eq 1 ]]; then\n\t\twords='%s'\n\telse\n\t\tcase \"$cmd $prev\" in\n", strings.Join(commandWords(commands), " "))
	for _, c := range all() {
		for _, o := range c.options() {
			if v := o.values(); v != nil {
				fmt.Fprintf(&b, "\t\t%q) words='%s' ;;\n", c.name+" -"+o.name, strings.Join(v, " "))
			}
		}
	}
	b.WriteString("\t\tesac\n\t\tif [[ -z $words ]]; then\n\t\t\tcase \"$cmd\" in\n")
	for _, c := range all() {
		words := c.words()
		for _, o := range c.options() {
			words = append(words, "-"+o.name)
		}
		fmt.Fprintf(&b, "\t\t\t%q) words='%s' ;;\n", c.name, strings.Join(words, " "))
	}
	b.WriteString(`			esac
		fi
	fi
	COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _hashslot hashslot
`)
	return b.String()
}

// quoteShell returns s in single quotes.
func quoteShell(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func zshCompletion() string {
	var b strings.Builder
	b.WriteString("#compdef hashslot\n# zsh completion for hashslot\n_hashslot() {\n\tlocal cmd=$words[2]\n\tif (( CURRENT == 2 )); then\n\t\tlocal -a list=(\n")
	describe := func(c *command) string {
		return quoteShell(c.word() + ":" + strings.ReplaceAll(c.short, ":", "\\:"))
	}
	for _, c := range commands {
		fmt.Fprintf(&b, "\t\t\t%s\n", describe(c))
	}
	b.WriteString("\t\t)\n\t\t_describe command list\n\t\treturn\n\tfi\n\tif [[ $cmd == plan ]] && (( CURRENT == 3 )); then\n\t\tlocal -a list=(\n")
	for _, c := range planCommand.kinds {
		fmt.Fprintf(&b, "\t\t\t%s\n", describe(c))
	}
	b.WriteString("\t\t)\n\t\t_describe plan list\n\t\treturn\n\tfi\n\tif [[ $cmd == plan ]]; then\n\t\tcmd=\"plan $words[3]\"\n\tfi\n\tcase $cmd in\n")
	for _, c := range all() {
		if c.kinds != nil {
			continue
		}
		fmt.Fprintf(&b, "\t%s)\n\t\t_arguments", quoteShell(c.name))
		for _, o := range c.options() {
			text := strings.NewReplacer("[", "\\[", "]", "\\]", ":", "\\:").Replace(o.usage)
			spec := "*-" + o.name + "[" + text + "]"
			switch {
			case o.values() != nil:
				spec += ":" + o.value + ":(" + strings.Join(o.values(), " ") + ")"
			case o.value == "file":
				spec += ":" + o.value + ":_files"
			case o.value != "":
				spec += ":" + o.value + ": "
			}
			fmt.Fprintf(&b, " \\\n\t\t\t%s", quoteShell(spec))
		}
		rest := "*:argument:_files"
		if w := c.words(); w != nil {
			rest = "*:word:(" + strings.Join(w, " ") + ")"
		}
		fmt.Fprintf(&b, " \\\n\t\t\t%s ;;\n", quoteShell(rest))
	}
	b.WriteString("\tesac\n}\nif [[ $funcstack[1] == _hashslot ]]; then\n\t_hashslot \"$@\"\nelse\n\tcompdef _hashslot hashslot\nfi\n")
	return b.String()
}

func fishCompletion() string {
	var b strings.Builder
	b.WriteString("# fish completion for hashslot\n")
	for _, c := range commands {
		fmt.Fprintf(&b, "complete -c hashslot -n __fish_use_subcommand -f -a %s -d %s\n", c.name, quoteShell(c.short))
	}
	for _, c := range all() {
		seen := "__fish_seen_subcommand_from " + c.word()
		if c.name != c.word() {
			seen = "__fish_seen_subcommand_from plan; and " + seen
		}
		for _, k := range c.kinds {
			fmt.Fprintf(&b, "complete -c hashslot -n %s -f -a %s -d %s\n",
				quoteShell(seen+"; and not __fish_seen_subcommand_from "+strings.Join(c.words(), " ")), k.word(), quoteShell(k.short))
		}
		if c.kinds == nil && c.words() != nil {
			fmt.Fprintf(&b, "complete -c hashslot -n %s -f -a %s\n", quoteShell(seen), quoteShell(strings.Join(c.words(), " ")))
		}
		for _, o := range c.options() {
			fmt.Fprintf(&b, "complete -c hashslot -n %s -o %s -d %s", quoteShell(seen), o.name, quoteShell(o.usage))
			switch {
			case o.values() != nil:
				fmt.Fprintf(&b, " -x -a %s", quoteShell(strings.Join(o.values(), " ")))
			case o.value == "file":
				b.WriteString(" -r")
			case o.value != "":
				b.WriteString(" -x")
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}
