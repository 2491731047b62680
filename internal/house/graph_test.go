package house

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCircles(t *testing.T) {
	g := Graph{}
	g.add("a", "b")
	g.add("b", "c")
	assert.Empty(t, g.Circles())
	g.add("c", "b")
	g.add("d", "e")
	g.add("e", "d")
	assert.Equal(t, [][]string{{"b", "c"}, {"d", "e"}}, g.Circles())
	assert.Empty(t, g.Group(func(s string) string { return string("xyyzz"[s[0]-'a']) }).Circles())
	assert.Equal(t, "a -> b\nb -> c\nc -> b\nd -> e\ne -> d\n", g.String())
}

func TestRows(t *testing.T) {
	g := Graph{}
	for _, arrow := range []string{"ab", "bc", "ac", "cd", "dc", "ed"} {
		g.add(arrow[:1], arrow[1:])
	}
	assert.Equal(t, [][]string{{"a", "e"}, {"b"}, {"c", "d"}}, g.Rows())
	assert.Equal(t, "a -> b\nb -> c\nc -> d\nd -> c\ne -> d\n", g.Least().String(), "a uses c by b")
}

// Files of the root package that call each other do one job. Only one circle is between
// two jobs: crc16 passes long buffers to long, which passes the last bytes back.
func TestNoCircles(t *testing.T) {
	files, err := Files(root)
	require.NoError(t, err)
	require.Greater(t, len(files), 15)
	require.True(t, files["crc16_amd64.go"]["crc16_amd64.s"], "a function without a body is in the assembly:\n%s", files)
	assert.Equal(t, [][]string{{"crc16", "long"}}, files.Group(Job).Circles(), "\n%s", files)

	packages, err := Packages(root)
	require.NoError(t, err)
	require.True(t, packages["slotmap"]["."], packages)
	assert.Empty(t, packages.Circles())
}
