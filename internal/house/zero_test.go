package house

import (
	"fmt"
	"go/ast"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/crc16"
	"github.com/hashslot/hashslot/slotmap"
	slotcommand "github.com/hashslot/hashslot/slotmap/command"
	"github.com/hashslot/hashslot/slotmap/plan"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// values are pointers to a zero value of each type with methods.
var values = []any{
	new(hashslot.CrossSlotError), new(hashslot.Slot), new(hashslot.SlotError),
	new(crc16.Digest),
	new(slotmap.Builder[string]), new(slotmap.ConflictError[string]), new(slotmap.Map[string]), new(slotmap.OwnerSplitter[string]),
	new(slotmap.ParseError), new(slotmap.Range), new(slotmap.RangeError), new(slotmap.Set), new(slotmap.SlotSplitter), new(slotmap.Table[string]),
	new(slotcommand.Args), new(slotcommand.Block), new(slotcommand.Command), new(slotcommand.Error), new(slotcommand.Flags), new(slotcommand.Reply),
	new(slotcommand.Servers), new(slotcommand.Splitter), new(slotcommand.Table), new(slotcommand.To), new(slotcommand.Use),
	new(plan.Auth), new(plan.CountsError), new(plan.InputError), new(plan.KeyCounts), new(plan.Layout), new(plan.Plan), new(plan.Progress),
	new(plan.Repair), new(plan.Sample), new(plan.Spread), new(plan.StateError), new(plan.Step),
	new(topology.Action), new(topology.Cluster), new(topology.Flags), new(topology.Node), new(topology.Outcome), new(topology.ReadPolicy),
	new(topology.Redirect), new(topology.Refresher), new(topology.Role), new(topology.Router), new(topology.ScanCursor), new(topology.Shard),
}

// nils are the types whose nil pointer behaves like the zero value.
var nils = []any{(*slotmap.Table[string])(nil)}

// zeroPanics are methods that panic on a zero value, with the reason.
var zeroPanics = map[string]string{
	"Auth.Format":   "it writes to what fmt gives it",
	"KeyCounts.Put": "a nil map takes nothing, as any map",
}

// TestZeroValues calls every method of every type on the zero value, with zero values.
func TestZeroValues(t *testing.T) {
	tested := map[string]bool{}
	for _, value := range append(values, nils...) {
		v := reflect.ValueOf(value)
		name, _, _ := strings.Cut(v.Type().Elem().Name(), "[")
		tested[v.Type().Elem().PkgPath()+"."+name] = true
		for i := range v.NumMethod() {
			method := name + "." + v.Type().Method(i).Name
			if zeroPanics[method] != "" {
				continue
			}
			assert.NotPanics(t, func() {
				for _, result := range call(v.Method(i)) {
					if result.Kind() == reflect.Func && !result.IsNil() { // a sequence
						call(result)
					}
				}
			}, "%s of %v", method, value)
		}
	}
	for _, dir := range []string{".", "crc16", "slotmap", "slotmap/command", "slotmap/plan", "slotmap/topology"} {
		p, _ := load(t, dir)
		for _, typ := range p.Types {
			if len(typ.Methods) > 0 && ast.IsExported(typ.Name) {
				path := strings.TrimSuffix(module+"/"+strings.TrimPrefix(dir, "."), "/")
				assert.True(t, tested[path+"."+typ.Name], "%s.%s has methods, and its zero value is not tested", dir, typ.Name)
			}
		}
	}
}

// call calls f with zero values. A pointer points to a zero value, and a function returns
// zero values.
func call(f reflect.Value) []reflect.Value {
	var args []reflect.Value
	for i := range f.Type().NumIn() {
		in := f.Type().In(i)
		switch {
		case f.Type().IsVariadic() && i == f.Type().NumIn()-1:
		case in.Kind() == reflect.Pointer:
			args = append(args, reflect.New(in.Elem()))
		case in.Kind() == reflect.Func:
			args = append(args, reflect.MakeFunc(in, func([]reflect.Value) []reflect.Value {
				var results []reflect.Value
				for i := range in.NumOut() {
					results = append(results, reflect.Zero(in.Out(i)))
				}
				return results
			}))
		default:
			args = append(args, reflect.Zero(in))
		}
	}
	return f.Call(args)
}

// Every value can be printed.
func TestZeroValuesPrint(t *testing.T) {
	for _, value := range values {
		assert.NotContains(t, fmt.Sprint(value), "PANIC", "%T", value)
		assert.NotContains(t, fmt.Sprint(reflect.ValueOf(value).Elem().Interface()), "PANIC", "%T", value)
	}
}
