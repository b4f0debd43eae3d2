package hub_test

import "testing"

// scriptChecks are for the clients that are written in JavaScript.
func scriptChecks() []check {
	read := func(t *testing.T, url string, w *world) story {
		got := javascript(t, url, "js.cjs", "read", "acme/plain", w.plainCommit, w.plain)
		same(t, got.Snapshot, w.plain)
		return got
	}
	write := func(repo string, args ...string) func(*testing.T, *world) story {
		return func(t *testing.T, w *world) story {
			return javascript(t, w.registry.url, "js.cjs", append([]string{"write", repo, w.plain}, args...)...)
		}
	}
	const js, xet = "@huggingface/hub", "@huggingface/hub, useXet"
	return []check{
		{js, []column{reads}, func(t *testing.T, w *world) story { return read(t, w.registry.url, w) }},
		{js, []column{fromNode}, func(t *testing.T, w *world) story { return read(t, w.node.url, w) }},
		{js, []column{writes}, write("js/new")},
		{xet, []column{reads, writes}, write("jsx/new", "xet")},
	}
}
