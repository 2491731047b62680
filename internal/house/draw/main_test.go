package main

import (
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDraw(t *testing.T) {
	out := filepath.Join(t.TempDir(), "house")
	require.NoError(t, draw("../../..", out))
	for _, name := range []string{"-light.svg", "-dark.svg"} {
		file, err := os.Open(out + name)
		require.NoError(t, err)
		defer file.Close()
		seen := map[string]int{}
		for d := xml.NewDecoder(file); ; {
			token, err := d.Token()
			if err == io.EOF {
				break
			}
			require.NoError(t, err)
			switch token := token.(type) {
			case xml.StartElement:
				seen[token.Name.Local]++
			case xml.CharData:
				seen[string(token)]++
			}
		}
		for _, text := range []string{"hashslot (root)", "slotmap/topology", "crc16_amd64.s", "generic.go"} {
			assert.Equal(t, 1, seen[text], text)
		}
		assert.Greater(t, seen["path"], 15)
	}
	assert.Error(t, draw("no such folder", out))
}
