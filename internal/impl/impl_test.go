package impl

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKernels(t *testing.T) {
	var used []string
	kernel := func(name string, supported bool) Kernel {
		return Kernel{name, supported, func() { used = append(used, name) }}
	}
	Register(kernel("new", false), kernel("fast", true), kernel("old", true), kernel(Generic, true))
	require.Equal(t, "fast", Current())
	require.Equal(t, []string{"new", "fast", "old", Generic}, All())
	require.Equal(t, []string{"fast", "old", Generic}, Names())
	restore, err := Force("old")
	require.NoError(t, err)
	require.Equal(t, "old", Current())
	restore()
	require.Equal(t, "fast", Current())
	require.Equal(t, []string{"fast", "old", "fast"}, used)
	for _, name := range []string{"new", ""} {
		_, err = Force(name)
		require.EqualError(t, err, `impl: no kernel "`+name+`" here; there are fast, old, generic`)
	}
	require.Equal(t, "fast", Current())
	for want, message := range map[string]string{"": "", "fast": "", "old": `impl: HASHSLOT_REQUIRE_KERNEL is "old", but the kernel in use is "fast"`} {
		t.Setenv("HASHSLOT_REQUIRE_KERNEL", want)
		if err := Require(); message == "" {
			require.NoError(t, err)
		} else {
			require.EqualError(t, err, message)
		}
	}
}
