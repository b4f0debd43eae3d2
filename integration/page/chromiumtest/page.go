package chromiumtest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// Page is a tab. Its methods fail the test.
type Page struct {
	t       testing.TB
	browser *Browser
	session string

	mu       sync.Mutex
	problems []string
	traffic  []*Request
	requests map[string]*Request // by the protocol's id
}

// Request is one that the page has sent.
type Request struct {
	URL   string
	Start float64 // seconds on the browser's clock
	End   float64 // 0 while it goes on
	Bytes int64   // of its answer as it came, headers included
	Cache bool    // it was not sent at all
	By    string  // what made it: "parser" and "preload" are the document, "script" is a script
}

type params map[string]any

// Page opens an empty tab, which keeps nothing of what others have read or been told.
func (b *Browser) Page(t testing.TB) *Page {
	t.Helper()
	p := &Page{t: t, browser: b, requests: map[string]*Request{}}
	var own struct{ BrowserContextID string }
	var target struct{ TargetID string }
	var session struct{ SessionID string }
	p.must("Target.createBrowserContext", params{"disposeOnDetach": true}, &own)
	p.must("Target.createTarget", params{"url": "about:blank", "browserContextId": own.BrowserContextID}, &target)
	p.must("Target.attachToTarget", params{"targetId": target.TargetID, "flatten": true}, &session)
	p.session = session.SessionID
	b.mu.Lock()
	b.pages[p.session] = p
	b.mu.Unlock()
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		p.must(domain+".enable", nil, nil)
	}
	p.Size(1280, 860)
	return p
}

func (p *Page) must(method string, q, out any) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	if err := p.browser.call(ctx, p.session, method, q, out); err != nil {
		p.t.Fatalf("chromium: %v", err)
	}
}

// note remembers what the page says of itself.
func (p *Page) note(method string, raw json.RawMessage) {
	var e struct {
		RequestID         string
		Timestamp         float64
		EncodedDataLength float64
		Request           struct{ URL string }
		Initiator         struct{ Type string }
		Entry             struct{ Level, Source, Text, URL string }
		Type              string
		Args              []struct{ Value, Description any }
		ExceptionDetails  struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	if json.Unmarshal(raw, &e) != nil {
		return // of another form: none of those below
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.requests[e.RequestID]
	switch method {
	case "Network.requestWillBeSent":
		r = &Request{URL: e.Request.URL, Start: e.Timestamp, By: e.Initiator.Type}
		p.requests[e.RequestID] = r
		p.traffic = append(p.traffic, r)
	case "Network.requestServedFromCache":
		if r != nil {
			r.Cache = true
		}
	case "Network.loadingFinished":
		if r != nil {
			r.End, r.Bytes = e.Timestamp, int64(e.EncodedDataLength)
		}
	case "Log.entryAdded":
		if e.Entry.Level == "error" || e.Entry.Level == "warning" {
			p.problems = append(p.problems, fmt.Sprintf("%s: %s (%s)", e.Entry.Source, e.Entry.Text, e.Entry.URL))
		}
	case "Runtime.consoleAPICalled":
		if e.Type == "error" || e.Type == "warning" || e.Type == "assert" {
			p.problems = append(p.problems, fmt.Sprintf("console.%s: %v", e.Type, e.Args))
		}
	case "Runtime.exceptionThrown":
		p.problems = append(p.problems, e.ExceptionDetails.Text+" "+e.ExceptionDetails.Exception.Description)
	}
}

// Problems are what went wrong on the page: errors of scripts, what its policy has
// refused, answers that were failures. They are told once.
func (p *Page) Problems() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.problems
	p.problems = nil
	return list
}

// Traffic is what the page has asked for since it was opened, or asked last.
func (p *Page) Traffic() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []Request
	for _, r := range p.traffic {
		list = append(list, *r)
	}
	p.traffic = nil
	return list
}

// Open loads an address and waits until the page's view is drawn.
func (p *Page) Open(url string) {
	p.t.Helper()
	var got struct{ ErrorText string }
	p.must("Page.navigate", params{"url": url}, &got)
	if got.ErrorText != "" {
		p.t.Fatalf("open %s: %s", url, got.ErrorText)
	}
	p.Wait(`document.readyState === "complete" && document.querySelector("main")?.dataset.view`)
}

// Eval runs an expression, waits for what it promises, and reads it into out if that is not nil.
func (p *Page) Eval(expression string, out any) {
	p.t.Helper()
	var got struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	p.must("Runtime.evaluate", params{"expression": expression, "awaitPromise": true, "returnByValue": true}, &got)
	if e := got.ExceptionDetails; e != nil {
		p.t.Fatalf("chromium: %s: %s %s", expression, e.Text, e.Exception.Description)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(got.Result.Value, out); err != nil {
		p.t.Fatalf("chromium: %s: %v", expression, err)
	}
}

// Text evaluates to a string.
func (p *Page) Text(expression string) (text string) {
	p.t.Helper()
	p.Eval("String("+expression+")", &text)
	return text
}

// Wait returns once an expression is true, and fails after some seconds.
func (p *Page) Wait(expression string) {
	p.t.Helper()
	var done bool
	p.Eval(`new Promise((done) => {
		const until = performance.now() + 60000;
		const look = () => {
			let yes = false;
			try { yes = Boolean(`+expression+`); } catch { /* not there yet */ }
			if (yes || performance.now() > until) done(yes); else setTimeout(look, 10);
		};
		look();
	})`, &done)
	if !done {
		p.t.Fatalf("waited in vain for %s\nproblems: %s\non the page: %.1500s", expression,
			strings.Join(p.Problems(), "\n"), p.Text("location.href + '\\n' + document.body.innerText"))
	}
}

// Click clicks the middle of what a selector finds, as a mouse does.
func (p *Page) Click(selector string) {
	p.t.Helper()
	at := p.middle(selector)
	for _, kind := range []string{"mousePressed", "mouseReleased"} {
		p.must("Input.dispatchMouseEvent", params{"type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1}, nil)
	}
}

// Point moves the mouse over the middle of what a selector finds.
func (p *Page) Point(selector string) {
	p.t.Helper()
	at := p.middle(selector)
	p.must("Input.dispatchMouseEvent", params{"type": "mouseMoved", "x": at[0], "y": at[1]}, nil)
}

func (p *Page) middle(selector string) (at [2]float64) {
	p.t.Helper()
	quoted, err := json.Marshal(selector)
	if err != nil {
		p.t.Fatal(err)
	}
	p.Wait("document.querySelector(" + string(quoted) + ")")
	p.Eval(`(() => {
		const e = document.querySelector(`+string(quoted)+`);
		e.scrollIntoView({ block: "center" });
		const box = e.getBoundingClientRect();
		return [box.x + box.width / 2, box.y + box.height / 2];
	})()`, &at)
	return at
}

// keyCodes are those of keys that type nothing.
var keyCodes = map[string]int{"Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Tab": 9}

// Press presses keys one after another: "ArrowDown", "g".
func (p *Page) Press(keys ...string) {
	p.t.Helper()
	for _, key := range keys {
		down := params{"type": "keyDown", "key": key, "windowsVirtualKeyCode": keyCodes[key]}
		if len(key) == 1 {
			down["text"] = key
		} else if key == "Enter" {
			down["text"] = "\r"
		}
		p.must("Input.dispatchKeyEvent", down, nil)
		p.must("Input.dispatchKeyEvent", params{"type": "keyUp", "key": key, "windowsVirtualKeyCode": keyCodes[key]}, nil)
	}
}

// Type enters text where the cursor is.
func (p *Page) Type(text string) {
	p.t.Helper()
	p.must("Input.insertText", params{"text": text}, nil)
}

// Size makes the window that large, in CSS pixels of two of the screen's.
func (p *Page) Size(width, height int) {
	p.t.Helper()
	p.must("Emulation.setDeviceMetricsOverride", params{"width": width, "height": height, "deviceScaleFactor": 2, "mobile": width < 600}, nil)
}

// Theme has the system prefer "light" or "dark".
func (p *Page) Theme(name string) {
	p.t.Helper()
	p.must("Emulation.setEmulatedMedia", params{"features": []params{{"name": "prefers-color-scheme", "value": name}}}, nil)
}

// Picture returns what the window shows as a PNG.
func (p *Page) Picture() []byte {
	p.t.Helper()
	var got struct{ Data string }
	p.must("Page.captureScreenshot", params{"format": "png"}, &got)
	b, err := base64.StdEncoding.DecodeString(got.Data)
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}
