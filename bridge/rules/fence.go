package rules

import (
	"github.com/fleetcast/fleetcast/devices"
)

// FenceType is the type of a fence's geometry.
type FenceType string

// The types of geometries.
const (
	Circle   FenceType = "circle"   // Center, Radius
	Polygon  FenceType = "polygon"  // Rings: as a GeoJSON polygon's coordinates
	Corridor FenceType = "corridor" // Line, Width: what is at most half the width away from a line
)

// Fence is a place that rules may speak of.
type Fence struct {
	ID       string            `json:"id"`
	Name     string            `json:"name,omitempty"`
	Fleets   []devices.FleetID `json:"fleets,omitempty"` // who may see it; empty: all
	Geometry Geometry          `json:"geometry"`
}

// Geometry is a fence's shape. Places are [longitude, latitude] in degrees, as in GeoJSON; a line between two of them
// takes the short way.
type Geometry struct {
	Type   FenceType     `json:"type"`
	Center []float64     `json:"center,omitempty"`
	Radius float64       `json:"radius,omitempty"` // m
	Rings  [][][]float64 `json:"coordinates,omitempty"`
	Line   [][]float64   `json:"line,omitempty"`
	Width  float64       `json:"width,omitempty"` // m
}

// ParseFence reads a fence's JSON and checks it.
func ParseFence(text []byte) (Fence, error) {
	var f Fence
	if err := unmarshalStrict(text, &f); err != nil {
		return Fence{}, devices.Errorf(devices.Invalid, "fence", "%v", err)
	}
	return f, f.Check()
}

// Check tells the first thing that is wrong, as an Invalid error whose field is the member's path.
func (f *Fence) Check() error {
	if err := checkName(f.ID, f.Name); err != nil {
		return err
	}
	if len(f.Fleets) > MaxScope {
		return devices.Errorf(devices.Invalid, "fleets", "has more than %d names", MaxScope)
	}
	_, err := f.Geometry.compile()
	return err
}

// Contains tells whether a place in degrees lies in the fence, or at most margin metres outside of it. It compiles the
// geometry: rules use a Set.
func (f *Fence) Contains(lat, lon, margin float64) bool {
	s, err := f.Geometry.compile()
	return err == nil && s.contains(lat, lon, margin)
}
