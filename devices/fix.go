package devices

// Fix is one place of a device's trail. Altitude, Speed and Heading count where Has says so.
type Fix struct {
	At       int64 // unix ms
	Lat, Lon float64
	Has      Fields
	Altitude float64 // m
	Speed    float64 // m/s
	Heading  float64 // degrees true
}

// TrailQuery says which part of a trail is wanted. The zero value is all of it.
type TrailQuery struct {
	From, To int64 // unix ms, both included; 0 is no bound
	Limit    int   // the newest so many; 0 is no bound
	// Simplify is how far, in metres, the line may leave the fixes that are left out; 0 leaves out none.
	Simplify float64
}
