package sim

import (
	"testing"
)

func TestTable(t *testing.T) {
	for _, s := range scenarios {
		cells := s.table([]uint64{1, 2, 3, 4, 5, 6})
		for _, col := range columns {
			c := cells[col]
			t.Logf("%-28s %-13v %-7v views %4d most %4d spoiled %5d redirects %5d failures %4d calm %.1f wrong %d", s.name, col.kind, col.format,
				c.views/c.clients, c.most, c.spoiled, c.redirects, c.failures, 1000*float64(c.calmed.redirects)/float64(c.calmed.commands), c.wrong)
		}
	}
}
