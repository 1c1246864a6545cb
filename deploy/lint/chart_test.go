package lint

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"
)

const chartPath = "../helm/fleetcast"

// release is what a chart renders, as Kubernetes reads it.
type release struct {
	deployments []*apps.Deployment
	services    []*core.Service
	budgets     []*policy.PodDisruptionBudget
	scalers     []*autoscaling.HorizontalPodAutoscaler
	ingresses   []*networking.Ingress
	policies    []*networking.NetworkPolicy
	monitors    []*monitoring.PodMonitor
}

// render renders the chart with values over its own, for a version of Kubernetes.
func render(values map[string]any, kubernetes string) (map[string]string, error) {
	chart, err := loader.Load(chartPath)
	if err != nil {
		return nil, err
	}
	capabilities := common.DefaultCapabilities.Copy()
	capabilities.KubeVersion = common.KubeVersion{Version: "v" + kubernetes + ".0", Major: "1", Minor: strings.TrimPrefix(kubernetes, "1.")}
	all, err := util.ToRenderValues(chart, values, common.ReleaseOptions{Name: "demo", Namespace: "fleets", Revision: 1, IsInstall: true}, capabilities)
	if err != nil {
		return nil, err
	}
	return engine.Engine{Strict: true}.Render(chart, all)
}

func read[T any](t *testing.T, document string, into *[]*T) {
	t.Helper()
	one := new(T)
	if err := yaml.UnmarshalStrict([]byte(document), one); err != nil { // a member that is none, or twice, is an error
		t.Errorf("%v in\n%s", err, document)
	}
	*into = append(*into, one)
}

func mustRender(t *testing.T, values map[string]any, kubernetes string) *release {
	t.Helper()
	files, err := render(values, kubernetes)
	if err != nil {
		t.Fatal(err)
	}
	r := &release{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.HasSuffix(name, "NOTES.txt") {
			continue
		}
		for document := range strings.SplitSeq("\n"+files[name], "\n---\n") {
			if strings.TrimSpace(document) != "" {
				r.add(t, document)
			}
		}
	}
	return r
}

func (r *release) add(t *testing.T, document string) {
	t.Helper()
	var kind meta.TypeMeta
	if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
		t.Fatalf("%v in\n%s", err, document)
	}
	switch kind.APIVersion + " " + kind.Kind {
	case "apps/v1 Deployment":
		read(t, document, &r.deployments)
	case "v1 Service":
		read(t, document, &r.services)
	case "policy/v1 PodDisruptionBudget":
		read(t, document, &r.budgets)
	case "autoscaling/v2 HorizontalPodAutoscaler":
		read(t, document, &r.scalers)
	case "networking.k8s.io/v1 Ingress":
		read(t, document, &r.ingresses)
	case "networking.k8s.io/v1 NetworkPolicy":
		read(t, document, &r.policies)
	case "monitoring.coreos.com/v1 PodMonitor":
		read(t, document, &r.monitors)
	default:
		t.Errorf("the chart has a %s %s, which this test does not know", kind.APIVersion, kind.Kind)
	}
}

// everything turns on all that the chart can have.
func everything() map[string]any {
	return map[string]any{
		"publicURL":          "https://fleet.example.org",
		"redis":              map[string]any{"secret": map[string]any{"name": "redis-url"}},
		"serviceAccountName": "fleetcast",
		"settings":           map[string]any{"FLEETCAST_WINDOW": "200ms"},
		"ingress":            map[string]any{"enabled": true, "className": "nginx", "host": "fleet.example.org", "tls": map[string]any{"secretName": "web"}},
		"mqtt":               map[string]any{"plain": false, "tls": map[string]any{"secretName": "mqtt"}},
		"edge":               map[string]any{"autoscaling": map[string]any{"enabled": true, "freshnessSeconds": "500m"}},
		"podMonitor":         map[string]any{"enabled": true, "labels": map[string]any{"release": "prometheus"}},
		"networkPolicy":      map[string]any{"enabled": true, "monitoring": map[string]any{"matchLabels": map[string]any{"name": "monitoring"}}},
		"podAnnotations":     map[string]any{"a": "b"},
		"nodeSelector":       map[string]any{"kubernetes.io/os": "linux"},
		"tolerations":        []any{map[string]any{"key": "fleets", "operator": "Exists"}},
		"imagePullSecrets":   []any{map[string]any{"name": "registry"}},
	}
}

func TestHelmFindsNothingWrongWithTheChart(t *testing.T) {
	for name, values := range map[string]map[string]any{"as it is": {}, "with everything": everything()} {
		result := lint.RunAll(chartPath, values, "fleets")
		for _, m := range result.Messages {
			if m.Severity > support.InfoSev {
				t.Errorf("%s: %v", name, m)
			}
		}
	}
}

func TestKubernetesTakesWhatTheChartRenders(t *testing.T) {
	for _, kubernetes := range []string{"1.25", "1.36"} {
		bare := mustRender(t, nil, kubernetes)
		if len(bare.deployments) != 3 || len(bare.services) != 2 || len(bare.budgets) != 3 || len(bare.scalers)+len(bare.ingresses)+len(bare.policies)+len(bare.monitors) != 0 {
			t.Errorf("%s: the chart as it is renders %+v", kubernetes, bare)
		}
		full := mustRender(t, everything(), kubernetes)
		if len(full.deployments) != 3 || len(full.scalers) != 1 || len(full.ingresses) != 1 || len(full.policies) != 3 || len(full.monitors) != 1 {
			t.Errorf("%s: the chart with everything renders %+v", kubernetes, full)
		}
		for _, r := range []*release{bare, full} {
			for _, d := range r.deployments {
				checkPods(t, d, kubernetes)
			}
			checkNames(t, r)
		}
	}
}

// stopping is what the gateway takes to stop at most, in seconds: gateway/app's StopTimeout.
const stopping = 20

func checkPods(t *testing.T, d *apps.Deployment, kubernetes string) {
	t.Helper()
	pod := &d.Spec.Template.Spec
	c := &pod.Containers[0]
	delay := int64(0)
	if c.Lifecycle != nil {
		delay = c.Lifecycle.PreStop.Sleep.Seconds
	}
	if wants := kubernetes != "1.25"; (delay > 0) != wants {
		t.Errorf("%s of Kubernetes %s waits %d s before it stops", d.Name, kubernetes, delay)
	}
	if *pod.TerminationGracePeriodSeconds < delay+stopping {
		t.Errorf("%s is killed after %d s, and stops within %d", d.Name, *pod.TerminationGracePeriodSeconds, delay+stopping)
	}
	s := c.SecurityContext
	if !*pod.SecurityContext.RunAsNonRoot || *pod.SecurityContext.RunAsUser == 0 || !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation || *pod.AutomountServiceAccountToken || s.Capabilities.Drop[0] != "ALL" {
		t.Errorf("%s may do what it need not", d.Name)
	}
	if c.LivenessProbe.HTTPGet.Path != "/healthz" || !strings.HasPrefix(c.ReadinessProbe.HTTPGet.Path, "/readyz?role=") {
		t.Errorf("%s is asked at %s and %s", d.Name, c.LivenessProbe.HTTPGet.Path, c.ReadinessProbe.HTTPGet.Path)
	}
	for _, p := range []*core.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		if !hasPort(c, p.HTTPGet.Port) {
			t.Errorf("%s is asked at a port %v that it has not", d.Name, p.HTTPGet.Port)
		}
	}
	for _, m := range c.VolumeMounts {
		if !slices.ContainsFunc(pod.Volumes, func(v core.Volume) bool { return v.Name == m.Name }) {
			t.Errorf("%s has no volume %s", d.Name, m.Name)
		}
	}
	if set := environment(c); set["FLEETCAST_VIEWER_AUTH"] != "required" || set["FLEETCAST_DEVICE_AUTH"] != "required" {
		t.Errorf("%s does not ask who is there: %v", d.Name, set)
	}
}

func environment(c *core.Container) map[string]string {
	set := map[string]string{}
	for _, e := range c.Env {
		set[e.Name] = e.Value
	}
	return set
}

func hasPort(c *core.Container, port intstr.IntOrString) bool {
	return slices.ContainsFunc(c.Ports, func(p core.ContainerPort) bool {
		return p.Name == port.StrVal || int(p.ContainerPort) == port.IntValue()
	})
}

// checkNames holds what one object says of another.
func checkNames(t *testing.T, r *release) {
	t.Helper()
	named := map[string]*apps.Deployment{}
	for _, d := range r.deployments {
		named[d.Name] = d
		if got := r.selected(d.Spec.Selector); len(got) != 1 || got[0] != d {
			t.Errorf("%s selects %d deployments' pods", d.Name, len(got))
		}
	}
	for _, s := range r.services {
		pods := r.selected(&meta.LabelSelector{MatchLabels: s.Spec.Selector})
		if len(pods) != 1 {
			t.Errorf("service %s selects the pods of %d deployments", s.Name, len(pods))
			continue
		}
		for _, p := range s.Spec.Ports {
			if !hasPort(&pods[0].Spec.Template.Spec.Containers[0], p.TargetPort) {
				t.Errorf("service %s: its pods have no port %v", s.Name, p.TargetPort)
			}
		}
	}
	for _, b := range r.budgets {
		if len(r.selected(b.Spec.Selector)) != 1 {
			t.Errorf("budget %s is not of one deployment", b.Name)
		}
	}
	for _, h := range r.scalers {
		d := named[h.Spec.ScaleTargetRef.Name]
		if d == nil || d.Spec.Replicas != nil { // else each upgrade would undo what the scaler did
			t.Errorf("%s scales %s, which is not there or has a number of its own", h.Name, h.Spec.ScaleTargetRef.Name)
		}
	}
	for _, i := range r.ingresses {
		to := i.Spec.Rules[0].HTTP.Paths[0].Backend.Service
		if !slices.ContainsFunc(r.services, func(s *core.Service) bool { return s.Name == to.Name && s.Spec.Ports[0].Name == to.Port.Name }) {
			t.Errorf("the ingress leads to %v", to)
		}
	}
	for _, p := range r.policies {
		pods := r.selected(&p.Spec.PodSelector)
		for _, rule := range p.Spec.Ingress {
			for _, port := range rule.Ports {
				if len(pods) != 1 || !hasPort(&pods[0].Spec.Template.Spec.Containers[0], *port.Port) {
					t.Errorf("policy %s: no port %v", p.Name, port.Port)
				}
			}
		}
	}
	for _, m := range r.monitors {
		if len(r.selected(&m.Spec.Selector)) != 3 {
			t.Errorf("the monitor sees not all pods")
		}
	}
}

// selected are the deployments whose pods a selector takes.
func (r *release) selected(s *meta.LabelSelector) (all []*apps.Deployment) {
	selector, err := meta.LabelSelectorAsSelector(s)
	if err != nil {
		return nil
	}
	for _, d := range r.deployments {
		if selector.Matches(labels.Set(d.Spec.Template.Labels)) {
			all = append(all, d)
		}
	}
	return all
}

func TestValuesThatCannotStandAreRefused(t *testing.T) {
	for name, values := range map[string]map[string]any{
		"an unknown value":       {"replicas": 2},
		"no setting":             {"settings": map[string]any{"WINDOW": "1s"}},
		"no address of Redis":    {"redis": map[string]any{"url": "localhost"}},
		"too short an end":       {"terminationGracePeriodSeconds": 22},
		"no way in for devices":  {"mqtt": map[string]any{"plain": false}},
		"a text for a number":    {"edge": map[string]any{"replicas": "two"}},
		"an interval of nothing": {"podMonitor": map[string]any{"interval": "often"}},
	} {
		if _, err := render(values, "1.36"); err == nil {
			t.Errorf("%s is rendered", name)
		}
	}
}

func TestTheRuleOfTheAdapterIsYAML(t *testing.T) {
	text, err := os.ReadFile("../helm/prometheus-adapter.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Rules struct {
			Custom []struct {
				SeriesQuery  string                    `json:"seriesQuery"`
				MetricsQuery string                    `json:"metricsQuery"`
				Name         struct{ As string }       `json:"name"`
				Resources    map[string]map[string]any `json:"resources"`
			} `json:"custom"`
		} `json:"rules"`
	}
	if err := yaml.UnmarshalStrict(text, &rules); err != nil {
		t.Fatal(err)
	}
	scaler := mustRender(t, everything(), "1.36").scalers[0]
	if got, want := rules.Rules.Custom[0].Name.As, scaler.Spec.Metrics[0].Pods.Metric.Name; got != want {
		t.Errorf("the adapter makes %s, and the scaler asks for %s", got, want)
	}
}
