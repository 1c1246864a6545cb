package rules

import (
	"fmt"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"

	"github.com/fleetcast/fleetcast/devices"
)

// maxExpressionNodes bounds the work of one evaluation: an expression has no loops, so it does no more steps than that.
const maxExpressionNodes = 200

// environment is what an expression may name. Unknown members are nil: comparing them is no truth, neither yes nor no.
type environment map[string]any

// compileExpression checks an expression and makes it ready. It may not loop: functions over collections and ranges are
// refused, so its cost is bounded by its length.
func compileExpression(text string) (*vm.Program, error) {
	if text == "" {
		return nil, devices.Errorf(devices.Invalid, "when.expression", "is missing")
	}
	if len(text) > MaxExpressionBytes {
		return nil, devices.Errorf(devices.Invalid, "when.expression", "is longer than %d bytes", MaxExpressionBytes)
	}
	loops := &noLoops{}
	program, err := expr.Compile(text,
		expr.Env(names()), expr.AsBool(), expr.MaxNodes(maxExpressionNodes), expr.Patch(loops),
		expr.DisableAllBuiltins(), expr.EnableBuiltin("abs"), expr.EnableBuiltin("ceil"), expr.EnableBuiltin("floor"),
		expr.EnableBuiltin("round"), expr.EnableBuiltin("lower"), expr.EnableBuiltin("upper"))
	if err == nil {
		err = loops.err
	}
	if err != nil {
		return nil, devices.Errorf(devices.Invalid, "when.expression", "%v", err)
	}
	return program, nil
}

// names are everything that an expression may name, with its type: any other name is an error of whoever wrote it.
// Members that may be unknown are of any type.
func names() types.Map {
	m := types.Map{
		"id": types.String, "fleet": types.String, "status": types.String, "lat": types.Any, "lon": types.Any,
		"metrics": types.Map{types.Extra: types.Any},
	}
	for name := range measureFields {
		m[name] = types.Any
	}
	return m
}

func newEnvironment() environment { return environment{"metrics": map[string]any{}} }

// fill sets the environment to a device. It is used again for each, so that it costs no new maps.
func (e environment) fill(a *devices.Asset, status devices.Status) {
	e["id"], e["fleet"], e["status"] = a.ID.String(), a.Fleet.String(), status.String()
	e["lat"], e["lon"] = any(nil), any(nil)
	if a.Has.Has(devices.FieldPosition) {
		e["lat"], e["lon"] = a.Lat, a.Lon
	}
	for name, f := range measureFields {
		e[name] = any(nil)
		if a.Has.Has(f.field) {
			e[name] = f.of(&a.Measures)
		}
	}
	metrics, _ := e["metrics"].(map[string]any)
	clear(metrics)
	for i := range a.Metrics {
		switch m := &a.Metrics[i]; m.Value.Kind {
		case devices.Number:
			metrics[m.Name] = m.Value.Num
		case devices.Text:
			metrics[m.Name] = m.Value.Text
		case devices.Bool:
			metrics[m.Name] = m.Value.IsTrue()
		case devices.Null:
		}
	}
}

// ask runs an expression. What it says of something unknown is unknown.
func (e environment) ask(m *vm.VM, program *vm.Program) truth {
	result, err := m.Run(program, map[string]any(e))
	if err != nil {
		return unknown
	}
	holds, ok := result.(bool)
	if !ok {
		return unknown
	}
	return truthOf(holds)
}

// noLoops refuses what could make an expression's cost more than its length.
type noLoops struct{ err error }

// Visit looks at one node.
func (n *noLoops) Visit(node *ast.Node) {
	switch v := (*node).(type) {
	case *ast.BinaryNode:
		if v.Operator == ".." || v.Operator == "matches" {
			n.refuse(v.Operator)
		}
	case *ast.PredicateNode, *ast.PointerNode:
		n.refuse("a function over a collection")
	case *ast.VariableDeclaratorNode, *ast.SequenceNode:
		n.refuse("a variable")
	}
}

func (n *noLoops) refuse(what string) {
	if n.err == nil {
		n.err = fmt.Errorf("%s is not part of a rule's expressions", what)
	}
}
