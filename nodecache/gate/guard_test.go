package gate

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestPagesFromElsewhere: what a page asks of a gate at a loopback address neither
// reaches the service nor brings the model in, at either of its addresses.
func TestPagesFromElsewhere(t *testing.T) {
	service := http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { fmt.Fprint(w, q.URL.Path) })
	l := listen(t, service, Config{Local: true, Hosts: []string{"service.example"}, Origins: []string{"http://ui.example"}})
	ask := func(url, host string, headers map[string]string) int {
		t.Helper()
		q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		if q.Host = host; host == "" {
			q.Host = q.URL.Host
		}
		for key, value := range headers {
			q.Header.Set(key, value)
		}
		r, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		return r.StatusCode
	}
	for _, headers := range []map[string]string{{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}} {
		for _, url := range []string{l.url + "/v1/completions", l.url + PathMetrics, l.url + PathHealth, l.metrics} {
			if code := ask(url, "", headers); code != http.StatusForbidden {
				t.Errorf("%s with %v: %d", url, headers, code)
			}
		}
	}
	for _, url := range []string{l.url + "/v1/completions", l.url + PathMetrics, l.metrics} {
		if code := ask(url, "evil.example", nil); code != http.StatusForbidden {
			t.Errorf("%s by another name: %d", url, code)
		}
	}
	if now, ever := l.model.held(); now+ever != 0 {
		t.Errorf("the model was brought in %d times", ever)
	}
	for _, headers := range []map[string]string{nil, {"Origin": "http://ui.example"}, {"Origin": l.url}, {"Sec-Fetch-Site": "same-origin"}} {
		if code := ask(l.url+"/v1/completions", "", headers); code != http.StatusOK {
			t.Errorf("with %v: %d", headers, code)
		}
	}
	if code := ask(l.url+"/v1/completions", "service.example", nil); code != http.StatusOK {
		t.Errorf("by a name that is allowed: %d", code)
	}
}
