package page_test

import (
	"net/http"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry"
)

// TestSignIn reads as a guest, as somebody with a token, and as a guest again.
func TestSignIn(t *testing.T) {
	b := browse(t)
	w := openWorld(t, registry.Config{Access: registry.AccessTokens, Anonymous: []string{"public/*"}})
	w.make("acme/secret:main", chunker.Digest{}, tiny)
	w.make("public/open:main", chunker.Digest{}, tiny)
	p := b.Page(t)
	models := func() string {
		return p.Text(`[...document.querySelectorAll(".models .model")].map((m) => m.textContent).sort()`)
	}

	p.Open(w.url + "/")
	if got := models(); got != "public/open" {
		t.Errorf("a guest sees %q, want public/open", got)
	}
	clean(t, p, "as a guest")

	p.Open(w.url + "/ui/acme/secret")
	has(t, p, "Sign in to see this")
	p.Click(".failed .button")
	p.Wait(`main.dataset.view === "signin" && document.activeElement.type === "password"`)
	p.Problems() // the browser tells of the refusal
	p.Type("hf_wrong")
	p.Press("Enter")
	p.Wait(`document.querySelector(".signin .bad").textContent.includes("not known here")`)
	p.Problems()
	p.Eval(`document.querySelector(".signin input").value = ""`, nil)
	p.Type(w.admin)
	p.Press("Enter")
	p.Wait(`main.dataset.view === "model"`)
	has(t, p, "secret", "Sign out")
	if cookie := p.Text("document.cookie"); cookie != "" {
		t.Errorf("scripts can read the cookie: %q", cookie)
	}
	p.Click(".brand")
	p.Wait(`document.querySelectorAll(".models li").length === 2`)
	clean(t, p, "signed in")

	w.revoke()
	p.Open(w.url + "/")
	p.Wait(`document.querySelector(".account a")`)
	if got := models(); got != "public/open" {
		t.Errorf("somebody whose token was revoked sees %q, want public/open", got)
	}
	p.Problems() // the browser tells of the refusal of the old cookie
	p.Open(w.url + "/")
	if got := models(); got != "public/open" {
		t.Errorf("after signing out one sees %q, want public/open", got)
	}
	clean(t, p, "a guest again")
}

// revoke takes the admin's token back.
func (w *world) revoke() {
	w.t.Helper()
	var who struct{ Token string }
	w.ask(http.MethodGet, "/v1/whoami", nil, &who)
	w.ask(http.MethodDelete, "/v1/tokens/"+who.Token, nil, nil)
}
