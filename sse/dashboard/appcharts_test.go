package dashboard_test

import (
	"strconv"
	"testing"

	"github.com/fleetcast/fleetcast/devices"
)

// Any number of an asset has a chart since the page was opened, also one that nobody looked at till now.
func TestAppChartsEveryNumberSinceThePageWasOpened(t *testing.T) {
	t.Parallel()
	stream := newFakeStream()
	b := openApp(t, stream)
	b.WaitFor(`state() === 'live'`)
	reading := func(second int64, fuel float64) string {
		return asset(t, "truck-1", 48, 2, func(a *devices.Asset) {
			a.Received += second * 1000
			a.Has |= devices.FieldSpeed
			a.Speed = 10
			a.Metrics = []devices.Metric{
				{Name: "cargo.temperature", Value: devices.NumberValue(4)},
				{Name: "doors.closed", Value: devices.BoolValue(true)},
				{Name: "engine.hours", Value: devices.NumberValue(812)},
				{Name: "fuel", Value: devices.NumberValue(fuel)},
			}
		})
	}
	for second := range int64(5) {
		stream.put(reading(second*2, 40+float64(second)))
		b.WaitFor(`fleetcast.history.of(entry('truck-1').asset, 'metrics.fuel').values.at(-1) === ` + strconv.FormatInt(40+second, 10))
	}
	b.Eval(`location.hash = '#/map/truck-1'`, nil)
	b.WaitFor(`[...document.querySelectorAll('[data-metric]')].map(c => c.dataset.metric).join() === 'metrics.cargo.temperature,metrics.engine.hours,metrics.fuel,speed'`)
	// Two are there unasked. A third is one click, and so is to be rid of one.
	b.WaitFor(`[...document.querySelectorAll('[data-chart] canvas')].length === 2`)
	b.Eval(`click('[data-metric="metrics.fuel"]'), click('[data-metric="metrics.engine.hours"]')`, nil)
	b.WaitFor(`[...document.querySelectorAll('[data-chart]')].map(c => c.dataset.chart + ' ' + c.dataset.samples).join() === 'metrics.cargo.temperature 5,metrics.fuel 5'`)
	b.WaitFor(`text('[data-chart="metrics.fuel"] .range').trim() === '40 – 44'`)
	stream.put(reading(10, 60))
	b.WaitFor(`text('[data-chart="metrics.fuel"] .range').trim() === '40 – 60'`)
	stream.remove("truck-1", "north")
	b.WaitFor(`fleetcast.history.size === 0 && fleetcast.history.used === 0`)
	noErrors(t, b)
}
