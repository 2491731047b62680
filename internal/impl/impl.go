// Package impl is the register of the root package's kernels. Programs use the
// kernel that CPU detection chose; tests, fuzz targets and benchmarks force each
// kernel in turn by its name.
package impl

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// Generic is the name of the plain Go, which runs anywhere.
const Generic = "generic"

// A Kernel is one way to do the work.
type Kernel struct {
	Name      string
	Supported bool   // the CPU has the features that it needs
	Use       func() // puts it into use
}

var (
	kernels []Kernel
	current string
)

// Register takes the kernels of this build, the best first, and puts the best one
// that the CPU supports into use. It is called once, when the root package is
// initialized.
func Register(k ...Kernel) {
	kernels = k
	best := k[slices.IndexFunc(k, func(k Kernel) bool { return k.Supported })]
	best.Use()
	current = best.Name
}

// Current returns the name of the kernel in use.
func Current() string { return current }

// All returns the names of all kernels of this build, the best first.
func All() []string {
	var names []string
	for _, k := range kernels {
		names = append(names, k.Name)
	}
	return names
}

// Names returns the names of the kernels that can run here, the best first.
// The last is always [Generic].
func Names() []string {
	var names []string
	for _, k := range kernels {
		if k.Supported {
			names = append(names, k.Name)
		}
	}
	return names
}

// Force puts the named kernel into use until restore is called. Nothing may hash
// at the same time.
func Force(name string) (restore func(), err error) {
	old := slices.IndexFunc(kernels, func(k Kernel) bool { return k.Name == current })
	for _, k := range kernels {
		if k.Name == name && k.Supported {
			k.Use()
			current = name
			return func() {
				kernels[old].Use()
				current = kernels[old].Name
			}, nil
		}
	}
	return nil, fmt.Errorf("impl: no kernel %q here; there are %s", name, strings.Join(Names(), ", "))
}

// Require returns an error if the environment variable HASHSLOT_REQUIRE_KERNEL
// names another kernel than the one that CPU detection chose.
func Require() error {
	if want := os.Getenv("HASHSLOT_REQUIRE_KERNEL"); want != "" && want != current {
		return fmt.Errorf("impl: HASHSLOT_REQUIRE_KERNEL is %q, but the kernel in use is %q", want, current)
	}
	return nil
}
