package metrics

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// leaf is a number of the tree. key is the last level where that is a key of a map.
type leaf struct {
	path  string
	key   string
	value float64
}

// walk calls visit for each number and bool of a tree of structs, maps by string and pointers, whose levels are named as
// in JSON. What is not exported to JSON, texts and lists are left out; an empty map and a nil pointer have nothing.
func walk(tree any, visit func(leaf)) { walkValue("", reflect.ValueOf(tree), visit) }

func walkValue(path string, v reflect.Value, visit func(leaf)) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			walkValue(path, v.Elem(), visit)
		}
	case reflect.Struct:
		walkStruct(path, v, visit)
	case reflect.Map:
		walkMap(path, v, visit)
	default:
		if n, ok := number(v); ok {
			visit(leaf{path: path, value: n})
		}
	}
}

func walkStruct(path string, v reflect.Value, visit func(leaf)) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "-" || !field.IsExported() && !field.Anonymous:
			continue
		case field.Anonymous && name == "":
			walkValue(path, v.Field(i), visit) // its members stand among the others, also where its type is not exported
			continue
		case name == "":
			name = field.Name
		}
		walkValue(join(path, name), v.Field(i), visit)
	}
}

// walkMap visits the entries in the order of their keys. A map of numbers is one metric, whose keys are label values.
func walkMap(path string, v reflect.Value, visit func(leaf)) {
	byKey := map[string]reflect.Value{}
	for it := v.MapRange(); it.Next(); {
		byKey[it.Key().String()] = it.Value()
	}
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		if n, ok := number(byKey[key]); ok {
			visit(leaf{path: join(path, "*"), key: key, value: n})
		} else {
			walkValue(join(path, key), byKey[key], visit)
		}
	}
}

func number(v reflect.Value) (float64, bool) {
	switch {
	case v.CanInt():
		return float64(v.Int()), true
	case v.CanUint():
		return float64(v.Uint()), true
	case v.CanFloat():
		return v.Float(), true
	case v.Kind() == reflect.Bool && v.Bool():
		return 1, true
	}
	return 0, v.Kind() == reflect.Bool
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
