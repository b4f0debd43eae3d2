package hub_test

import (
	"os/exec"
	"strings"
	"testing"
)

// withoutXet is how people tell huggingface_hub to leave hf_xet alone.
const withoutXet = "HF_HUB_DISABLE_XET=1"

// pythons are the clients of the Hub that are written in Python.
var pythons = []struct {
	name, space string // of the client, and of the models that it writes
	env         python
}{
	{"huggingface_hub 0.x without hf_xet", "hub0", python{venv: "hub0"}},
	{"huggingface_hub 1.x with hf_xet", "hub1x", python{venv: "hub1"}},
	{"huggingface_hub 1.x, " + withoutXet, "hub1", python{venv: "hub1", vars: []string{withoutXet}}},
	{"huggingface_hub 2.x with hf_xet", "hub2x", python{venv: "hub2"}},
	{"huggingface_hub 2.x, " + withoutXet, "hub2", python{venv: "hub2", vars: []string{withoutXet}}},
}

// transformers are the releases that go with them.
var transformers = []struct{ name, space string }{
	{"transformers 4.x", "hub0"},
	{"transformers 5.x", "hub1"},
}

func pythonChecks() (all []check) {
	for _, p := range pythons {
		read := func(url func(*world) string) func(*testing.T, *world) story {
			return func(t *testing.T, w *world) story { return p.env.read(t, url(w), w) }
		}
		all = append(all,
			check{p.name, []column{reads}, read(func(w *world) string { return w.registry.url })},
			check{p.name, []column{reads}, func(t *testing.T, w *world) story {
				return p.env.named(t, p.env.run(t, w.registry.url, "errors.py", "acme/tiny", w.commit, w.closed))
			}},
			check{p.name, []column{fromNode}, read(func(w *world) string { return w.node.url })},
			check{p.name, []column{offline}, func(t *testing.T, w *world) story {
				env := p.env
				env.vars = append(env.vars[:len(env.vars):len(env.vars)], "HF_HUB_OFFLINE=1", "HF_HUB_CACHE="+w.tree)
				got := env.run(t, w.closed, "offline.py", "acme/tiny", w.commit, w.tiny)
				same(t, got.Snapshot, w.tiny)
				return env.named(t, got)
			}},
			check{p.name, []column{writes}, func(t *testing.T, w *world) story {
				got := p.env.tokened().run(t, w.registry.url, "write.py", p.space+"/new", w.tiny)
				same(t, got.Snapshot, w.tiny, ".gitattributes")
				return p.env.named(t, got)
			}},
		)
	}
	for _, c := range transformers {
		env := python{venv: c.space}
		all = append(all,
			check{c.name, []column{fromNode}, func(t *testing.T, w *world) story { return env.run(t, w.node.url, "loads.py", "acme/bert", w.bert) }},
			check{c.name, []column{reads, writes}, func(t *testing.T, w *world) story {
				return env.tokened().run(t, w.registry.url, "loads.py", "acme/bert", w.bert, c.space+"/bert")
			}},
		)
	}
	return append(all, commandChecks("hf of huggingface_hub 1.x", "hf1", python{venv: "hub1"})...)
}

// read reads acme/tiny from a server, and compares what is in the cache then.
func (p python) read(t *testing.T, url string, w *world) story {
	t.Helper()
	local := t.TempDir()
	got := p.run(t, url, "read.py", "acme/tiny", w.commit, w.tiny, local)
	same(t, got.Snapshot, w.tiny)
	if some := tree(t, local); len(some) != 4 || some[firstShard] != sumOf(read(t, w.tiny, firstShard)) {
		t.Errorf("the local folder has %v", some)
	}
	return p.named(t, got)
}

// tokened returns the environment with a token, as who writes has one.
func (p python) tokened() python {
	p.vars = append(p.vars[:len(p.vars):len(p.vars)], "HF_TOKEN="+token)
	return p
}

// named adds the version of hf_xet to that of the client, where it is used.
func (p python) named(t *testing.T, s story) story {
	t.Helper()
	xet := p.version(t, "hf_xet")
	for _, v := range p.vars {
		if v == withoutXet {
			xet = ""
		}
	}
	if xet != "" {
		s.Version += ", hf_xet " + xet
	}
	return s
}

// commandChecks are for the command line of huggingface_hub.
func commandChecks(name, space string, env python) []check {
	hf := func(t *testing.T, url string, args ...string) string {
		t.Helper()
		out, err := env.tokened().command(t, url, env.program(t, "hf"), args...).Output()
		if e, ok := err.(*exec.ExitError); ok {
			t.Fatalf("hf %q: %v\n%s%s", args, err, out, e.Stderr)
		} else if err != nil {
			t.Fatalf("hf %q: %v", args, err)
		}
		return string(out)
	}
	download := func(t *testing.T, url string, w *world) story {
		dir := t.TempDir()
		hf(t, url, "download", "acme/tiny", "--local-dir", dir)
		same(t, dir, w.tiny)
		return story{Version: env.version(t, "huggingface_hub"), Ran: []string{"hf download"}}
	}
	return []check{
		{name, []column{reads}, func(t *testing.T, w *world) story {
			if said := hf(t, w.registry.url, "auth", "whoami"); strings.TrimSpace(said) == "" {
				t.Error("hf auth whoami says nothing")
			}
			s := download(t, w.registry.url, w)
			s.Ran = append(s.Ran, "hf auth whoami")
			return s
		}},
		{name, []column{fromNode}, func(t *testing.T, w *world) story { return download(t, w.node.url, w) }},
		{name, []column{writes}, func(t *testing.T, w *world) story {
			hf(t, w.registry.url, "upload", space+"/new", w.tiny, ".", "--commit-message", "all")
			dir := t.TempDir()
			hf(t, w.registry.url, "download", space+"/new", "--local-dir", dir)
			same(t, dir, w.tiny, ".gitattributes")
			return story{Version: env.version(t, "huggingface_hub"), Ran: []string{"hf upload", "hf download"}}
		}},
	}
}
