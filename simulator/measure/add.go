package measure

import "reflect"

// Add adds every counter of from to that of into. Both are structs of int64 and of such structs; what is no sum, as the
// largest of something, is for the caller to set right.
func Add[T any](into *T, from T) { combine(reflect.ValueOf(into).Elem(), reflect.ValueOf(from), 1) }

// Subtract is the reverse of Add.
func Subtract[T any](into *T, from T) {
	combine(reflect.ValueOf(into).Elem(), reflect.ValueOf(from), -1)
}

func combine(into, from reflect.Value, sign int64) {
	for i := range into.NumField() {
		if f := into.Field(i); f.Kind() == reflect.Struct {
			combine(f, from.Field(i), sign)
		} else {
			f.SetInt(f.Int() + sign*from.Field(i).Int())
		}
	}
}

// AddMap adds the numbers of a map to those of another, which is made where it is nil.
func AddMap[K comparable, N int | int64](into *map[K]N, from map[K]N) {
	if *into == nil && from != nil {
		*into = map[K]N{}
	}
	for k, n := range from {
		(*into)[k] += n
	}
}
