package cas_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/ingot-ml/ingot/registry/name"
)

// TestNamespaces sends a xorb to one namespace: in another it is not there, not even for
// one who is called the same; and however often it is sent there, the first one keeps it.
func TestNamespaces(t *testing.T) {
	w := newWorld(t)
	rival := name.Repo{Namespace: "rival", Name: "model"}
	x := makeXorb(chunksOf(1, 2)...)
	a := w.grant(alice, model, "", true)
	w.sendXorb(a, x)
	elsewhere := w.grant(alice, rival, "", true)
	if elsewhere.URL == a.URL {
		t.Error("clients will name in one namespace what they have sent to another")
	}
	lost := makeShard(nil, file{{x, 0, 2}})
	w.want(http.StatusNotFound, "POST", elsewhere.URL+"/v1/shards", elsewhere.Token, lost) // it lies in the folder
	w.sendShard(a, file{{x, 0, 2}})
	elsewhere = w.grant(alice, rival, "", true)
	w.want(http.StatusNotFound, "POST", elsewhere.URL+"/v1/shards", elsewhere.Token, lost) // it lies in a file
	w.lacks(rival, x.all)

	for i := range 61 { // one more than are remembered
		b := w.grant(bob, name.Repo{Namespace: "rival", Name: fmt.Sprintf("m%d", i)}, "", true)
		if i == 0 {
			w.sendXorb(b, x)
		}
		w.sendShard(b, file{{x, 0, 2}})
	}
	w.config.Dir = t.TempDir()
	w.start()
	a = w.grant(alice, other, "", true)
	w.sendShard(a, file{{x, 0, 2}})
	w.check(alice, other, x.all)
}
