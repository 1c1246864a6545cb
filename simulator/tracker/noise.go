package tracker

import (
	"math"
	"time"
)

// The error of a satellite receiver is no dice: it wanders, and is nearly the same a second later. The usual model is a
// first-order Gauss-Markov process, whose correlation falls by 1/e in the time Memory. Here it is made from white noise
// on a lattice of time, weighted by how long ago it was, so that it is a pure function of the time: a restarted simulator
// goes on with the same error, and a look that was skipped changes nothing.
const (
	latticeOfMemory = 8  // lattice points a memory
	latticePast     = 40 // points that count: what is older weighs less than a hundredth
)

var (
	latticeFall    = math.Exp(-1.0 / latticeOfMemory)
	latticeStep    = math.Sqrt(1 - latticeFall*latticeFall)
	latticeWeights = func() (w [latticePast]float64) {
		for i := range w {
			w[i] = math.Pow(latticeFall, float64(i)) * latticeStep
		}
		return w
	}()
)

// wander is the error along one axis in units of its standard deviation.
func wander(seed uint64, axis uint64, at time.Time, memory time.Duration) float64 {
	step := int64(memory / latticeOfMemory)
	nanos := at.UnixNano()
	k := nanos / step
	rest := nanos % step
	if rest < 0 {
		k, rest = k-1, rest+step
	}
	before := lattice(seed^axis, k)
	after := latticeFall*before + latticeStep*white(seed^axis, k+1)
	return before + (after-before)*float64(rest)/float64(step)
}

func lattice(seed uint64, k int64) (sum float64) {
	for i, w := range latticeWeights {
		sum += w * white(seed, k-int64(i))
	}
	return sum
}

// white is nearly normal with deviation 1: the sum of four uniform numbers, cut out of one hash.
func white(seed uint64, k int64) float64 {
	h := mix(seed ^ mix(uint64(k)))
	sum := float64(h&0xffff) + float64(h>>16&0xffff) + float64(h>>32&0xffff) + float64(h>>48)
	return (sum/65535 - 2) * math.Sqrt(3)
}

// mix is splitmix64's, the same in every version of Go.
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
