package audit

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// Result is what came of a request.
type Result string

// The results.
const (
	OK      Result = "ok"
	Denied  Result = "denied"  // who asked may not, or did not say well who it is
	Refused Result = "refused" // the request was wrong, or came at the wrong time
	Failed  Result = "failed"  // by a fault of the registry, or the caller went away
)

// Entry is what happened.
type Entry struct {
	Time    time.Time `json:"time"`
	Request string    `json:"request"`         // its id, as in the log and in the answer
	Who     string    `json:"who"`             // the subject
	Token   string    `json:"token,omitempty"` // the id of its token
	From    string    `json:"from"`            // address
	Action  string    `json:"action"`
	Repo    string    `json:"repo,omitempty"` // or namespace
	Ref     string    `json:"ref,omitempty"`  // a tag, a version, or what else it was about
	Result  Result    `json:"result"`
	Status  int       `json:"status"` // of HTTP; 0 for none
}

// maxText is the length of the longest text of an entry in bytes: what is longer is cut.
const maxText = 512

// line returns the entry as a line, in ASCII that prints.
func (e Entry) line() ([]byte, error) {
	for _, text := range []*string{&e.Request, &e.Who, &e.Token, &e.From, &e.Action, &e.Repo, &e.Ref} {
		*text = cut(*text)
	}
	e.Time = e.Time.UTC()
	raw, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("write an entry: %w", err)
	}
	return append(printable(raw), '\n'), nil
}

// cut shortens a text between two characters.
func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	n := maxText
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}

// printable escapes what JSON may hold as it is, and a terminal must not: controls
// beyond ASCII, and letters that turn a line around.
func printable(doc []byte) []byte {
	var b strings.Builder
	for _, r := range string(doc) {
		switch {
		case ' ' <= r && r <= '~':
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return []byte(b.String())
}
