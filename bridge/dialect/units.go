package dialect

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// dimension is what a unit measures. Values of a dimension are kept in its first unit below.
type dimension string

const (
	noDimension dimension = ""
	speed       dimension = "speed"       // m/s
	angle       dimension = "angle"       // degrees
	length      dimension = "length"      // m
	share       dimension = "share"       // %
	temperature dimension = "temperature" // °C
	voltage     dimension = "voltage"     // V
	pressure    dimension = "pressure"    // hPa
	duration    dimension = "duration"    // s
)

// unit converts a number to the first unit of its dimension: n*factor + offset.
type unit struct {
	dimension      dimension
	factor, offset float64
}

var units = map[string]unit{
	"m/s": {speed, 1, 0}, "km/h": {speed, mpsPerKMH, 0}, "knots": {speed, mpsPerKnot, 0}, "kn": {speed, mpsPerKnot, 0},
	"mph": {speed, 0.44704, 0}, "cm/s": {speed, 0.01, 0}, "mm/s": {speed, 0.001, 0}, "ft/s": {speed, 0.3048, 0},

	"degrees": {angle, 1, 0}, "deg": {angle, 1, 0}, "radians": {angle, 180 / math.Pi, 0}, "rad": {angle, 180 / math.Pi, 0},
	"arcminutes": {angle, 1.0 / 60, 0},

	"m": {length, 1, 0}, "km": {length, 1000, 0}, "cm": {length, 0.01, 0}, "mm": {length, 0.001, 0}, "ft": {length, 0.3048, 0},
	"mi": {length, 1609.344, 0}, "nmi": {length, 1852, 0},

	"%": {share, 1, 0}, "percent": {share, 1, 0}, "ratio": {share, 100, 0}, "permille": {share, 0.1, 0},

	"C": {temperature, 1, 0}, "F": {temperature, 5.0 / 9, -160.0 / 9}, "K": {temperature, 1, -273.15},

	"V": {voltage, 1, 0}, "mV": {voltage, 0.001, 0},

	"hPa": {pressure, 1, 0}, "mbar": {pressure, 1, 0}, "Pa": {pressure, 0.01, 0}, "kPa": {pressure, 10, 0}, "bar": {pressure, 1000, 0},
	"psi": {pressure, 68.9475729, 0},

	"s": {duration, 1, 0}, "ms": {duration, 0.001, 0}, "min": {duration, 60, 0}, "h": {duration, 3600, 0},
}

// parseUnit reads the name of a unit, perhaps with a number before it: "km/h", "1e-7 degrees", "0.1 knots".
func parseUnit(text string) (unit, bool) {
	if u, ok := units[text]; ok {
		return u, true
	}
	number, name, ok := strings.Cut(text, " ")
	factor, err := strconv.ParseFloat(number, 64)
	u, known := units[strings.TrimSpace(name)]
	if !ok || err != nil || !known || factor == 0 || math.IsInf(factor, 0) || math.IsNaN(factor) {
		return unit{}, false
	}
	u.factor *= factor
	return u, true
}

// unitsOf lists the units of a dimension, or all of them, for the message about one that is not known.
func unitsOf(d dimension) string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(units)) {
		if d == noDimension || units[name].dimension == d {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}
