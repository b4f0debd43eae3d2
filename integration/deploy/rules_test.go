package deploy_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rendered returns every document that testdata holds, by the name of its file.
func rendered(t *testing.T) map[string][]object {
	t.Helper()
	all := map[string][]object{}
	for _, choice := range choices(t) {
		all[filepath.Base(choice)] = documents(t, choice+".yaml")
	}
	return all
}

// kinds of documents that run pods, and where these are.
var pods = map[string][]any{
	"Pod": {"spec"}, "Deployment": {"spec", "template", "spec"},
	"StatefulSet": {"spec", "template", "spec"}, "DaemonSet": {"spec", "template", "spec"},
}

// TestPodsAreConfined holds every pod, of the chart and of the examples, to what a
// careful cluster admits.
func TestPodsAreConfined(t *testing.T) {
	files := rendered(t)
	examples, err := filepath.Glob(filepath.Join(root, "docker", "examples", "*.yaml"))
	if err != nil || len(examples) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, path := range examples {
		files[filepath.Base(path)] = documents(t, path)
	}
	seen := 0
	for file, docs := range files {
		for _, o := range docs {
			if path := pods[o.text("kind")]; path != nil {
				seen++
				checkPod(t, fmt.Sprintf("%s: %s %s", file, o.text("kind"), o.text("metadata", "name")), o.object(path...))
			}
		}
	}
	if seen < 7 {
		t.Errorf("%d pods were looked at: the chart renders more", seen)
	}
}

func checkPod(t *testing.T, what string, pod object) {
	t.Helper()
	for _, key := range []string{"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} {
		if pod.at(key) != nil {
			t.Errorf("%s has %s", what, key)
		}
	}
	if pod.at("automountServiceAccountToken") != false {
		t.Errorf("%s mounts a token of Kubernetes, which it does not use", what)
	}
	if pod.text("securityContext", "seccompProfile", "type") != "RuntimeDefault" {
		t.Errorf("%s has no profile of system calls", what)
	}
	volumes := pod.objects("volumes")
	for _, c := range slices.Concat(pod.objects("initContainers"), pod.objects("containers")) {
		checkContainer(t, what+": "+c.text("name"), pod, c)
		for _, m := range c.objects("volumeMounts") {
			named := func(v object) bool { return v.text("name") == m.text("name") }
			claimed := m.text("name") == "data" && strings.Contains(what, "StatefulSet")
			if !claimed && !slices.ContainsFunc(volumes, named) {
				t.Errorf("%s: %s mounts %s, which is no volume", what, c.text("name"), m.text("name"))
			}
		}
	}
	for _, v := range volumes {
		path := v.text("hostPath", "path")
		if path != "" && path != "/run/ingot" && path != "/var/lib/ingot" && path != "/var/lib/ingot/node/files" {
			t.Errorf("%s mounts %s of the host", what, path)
		}
	}
}

func checkContainer(t *testing.T, what string, pod, c object) {
	t.Helper()
	s := c.object("securityContext")
	if s.at("privileged") != nil || s.at("allowPrivilegeEscalation") != false || !slices.Contains(s.texts("capabilities", "drop"), "ALL") {
		t.Errorf("%s may do more than it has to: %v", what, s)
	}
	engine := strings.Contains(what, "engine") || strings.HasSuffix(what, "vllm") // not ours: its image may want to write
	if !engine && s.at("readOnlyRootFilesystem") != true {
		t.Errorf("%s may write to its image", what)
	}
	folders := c.text("name") == "folders" // gives folders of the node away, and does nothing else
	if nobody := s.at("runAsNonRoot") == true || pod.at("securityContext", "runAsNonRoot") == true; nobody == folders {
		t.Errorf("%s runs as root: %v; only what gives folders away does", what, !nobody)
	}
	if extra := s.texts("capabilities", "add"); folders != slices.Equal(extra, []string{"CHOWN", "FOWNER"}) || !folders && len(extra) > 0 {
		t.Errorf("%s has the capabilities %v", what, extra)
	}
	if c.text("resources", "limits", "memory") == "" || c.text("resources", "requests", "memory") == "" {
		t.Errorf("%s has no bound of memory", what)
	}
	if image := c.text("image"); strings.HasSuffix(image, ":latest") || !strings.Contains(image, ":") {
		t.Errorf("%s: image %s may be another one tomorrow", what, image)
	}
}

// quantity returns the bytes of what Kubernetes calls a quantity, or of a size of ours.
func quantity(t *testing.T, text string) int64 {
	t.Helper()
	digits := strings.TrimRight(text, "KMGTiB")
	unit := map[string]int64{"": 1, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}[strings.TrimSuffix(text[len(digits):], "B")]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || unit == 0 {
		t.Fatalf("%q is no size", text)
	}
	return n * unit
}

// TestAgentMemory: the limit of an agent's pod holds its RAM tier and what it needs
// beside it, and is asked for whole, so that the node has it.
func TestAgentMemory(t *testing.T) {
	const beside, withGPU = 1 << 30, 1 << 30
	seen := 0
	for file, docs := range rendered(t) {
		for _, o := range docs {
			if o.text("kind") != "DaemonSet" {
				continue
			}
			seen++
			c := o.objects("spec", "template", "spec", "containers")[0]
			told := agentConfig(t, docs)
			need := int64(beside)
			if ram := told.text("ram"); ram != "none" {
				need += quantity(t, ram)
			}
			if gpu := told.text("gpu"); gpu != "" {
				need += withGPU
			}
			limit := quantity(t, c.text("resources", "limits", "memory"))
			if limit < need || limit != quantity(t, c.text("resources", "requests", "memory")) {
				t.Errorf("%s: the agent may have %d bytes, and needs %d", file, limit, need)
			}
		}
	}
	if seen != len(choices(t)) {
		t.Errorf("%d agents were looked at, of %d", seen, len(choices(t)))
	}
}

func agentConfig(t *testing.T, docs []object) object {
	t.Helper()
	for _, o := range docs {
		if text := o.text("data", "agent.yaml"); text != "" {
			return parse(t, "agent.yaml", []byte(text))[0]
		}
	}
	t.Fatal("no agent.yaml was rendered")
	return nil
}

// TestGPUsAreNotClaimed: an agent sees the GPUs of its node, and whoever schedules
// engines does not count it.
func TestGPUsAreNotClaimed(t *testing.T) {
	visible := map[string]bool{}
	for file, docs := range rendered(t) {
		for _, o := range docs {
			if o.text("kind") == "ResourceClaimTemplate" {
				visible[file] = o.objects("spec", "spec", "devices", "requests")[0].at("exactly", "adminAccess") == true
			}
			if o.text("kind") != "DaemonSet" {
				continue
			}
			pod := o.object("spec", "template", "spec")
			for _, c := range slices.Concat(pod.objects("initContainers"), pod.objects("containers")) {
				for _, kind := range []string{"limits", "requests"} {
					for name := range c.object("resources", kind) {
						if name != "cpu" && name != "memory" {
							t.Errorf("%s: %s claims %s", file, c.text("name"), name)
						}
					}
				}
				for _, e := range c.objects("env") {
					if e.text("name") == "NVIDIA_VISIBLE_DEVICES" && e.text("value") == "all" {
						visible[file] = pod.text("runtimeClassName") == "nvidia"
					}
				}
			}
		}
	}
	if want := map[string]bool{"store": true, "dra": true}; !maps.Equal(visible, want) {
		t.Errorf("GPUs are seen so: %v; want %v", visible, want)
	}
}

// TestChartHangsTogether: what selects finds, and what is named is there.
func TestChartHangsTogether(t *testing.T) {
	// What a person or an operator brings.
	brought := []string{"registry-tls", "store", "pull", "callers", "agent-tls", "models-ca", "agent-token", "kube-root-ca.crt", "demo-ingot-registry-tls"}
	for file, docs := range rendered(t) {
		names, labels := slices.Clone(brought), []object{}
		for _, o := range docs {
			names = append(names, o.text("metadata", "name"))
			if pods[o.text("kind")] != nil {
				labels = append(labels, o.object("spec", "template", "metadata", "labels"))
			}
		}
		for _, o := range docs {
			what := fmt.Sprintf("%s: %s %s", file, o.text("kind"), o.text("metadata", "name"))
			for _, path := range [][]any{{"spec", "selector", "matchLabels"}, {"spec", "podSelector", "matchLabels"}, {"spec", "selector"}} {
				selector := o.object(path...)
				if len(selector) == 0 || selector["matchLabels"] != nil || o.text("kind") == "ServiceMonitor" {
					continue
				}
				if !slices.ContainsFunc(labels, func(l object) bool { return within(selector, l) }) {
					t.Errorf("%s selects nothing: %v", what, selector)
				}
			}
			if path := pods[o.text("kind")]; path != nil {
				for _, name := range named(o.object(path...)) {
					if !slices.Contains(names, name) {
						t.Errorf("%s names %s, which nobody brings", what, name)
					}
				}
			}
		}
	}
}

// within tells whether all of selector is in labels.
func within(selector, labels object) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return true
}

// named returns the names of what a pod needs to be there.
func named(pod object) []string {
	all := []string{pod.text("serviceAccountName")}
	for _, v := range pod.objects("volumes") {
		for _, name := range []string{v.text("configMap", "name"), v.text("secret", "secretName")} {
			if name != "" {
				all = append(all, name)
			}
		}
	}
	for _, c := range pod.objects("containers") {
		for _, e := range c.objects("envFrom") {
			all = append(all, e.text("secretRef", "name"))
		}
	}
	return all
}

// TestReplicasMayGo: with several replicas a node can be emptied while the others
// serve, and with one nothing stands in the way of emptying its node.
func TestReplicasMayGo(t *testing.T) {
	budgets := map[string]bool{}
	for file, docs := range rendered(t) {
		for _, o := range docs {
			if o.text("kind") == "PodDisruptionBudget" {
				budgets[file] = true
			}
			grace, _ := o.at("spec", "template", "spec", "terminationGracePeriodSeconds").(int)
			if pods[o.text("kind")] != nil && grace < 25+5+10 { // requests under way, the pause before, and some more
				t.Errorf("%s: %s has %d seconds to end", file, o.text("metadata", "name"), grace)
			}
		}
	}
	if want := map[string]bool{"store": true}; !maps.Equal(budgets, want) {
		t.Errorf("there are budgets for %v, want %v", budgets, want)
	}
}

// checkPair wants a key, a certificate for those names, and the CA that signed it.
func checkPair(t *testing.T, data object, names ...string) {
	t.Helper()
	part := func(name string) []byte {
		b, err := base64.StdEncoding.DecodeString(data.text(name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	pair, err := tls.X509KeyPair(part("tls.crt"), part("tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(part("ca.crt")) {
		t.Fatal("ca.crt holds no certificate")
	}
	for _, name := range names {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
