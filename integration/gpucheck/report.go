package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// schema is the version of the report's JSON. Fields are added without a new one.
const schema = 1

// state is what became of a check.
type state string

// The states of a check.
const (
	passed   state = "pass"
	failed   state = "fail"
	skipped  state = "skip"     // see Reason
	unjudged state = "unjudged" // a rate or time of a fake driver
)

// line is one line of the report: something that was checked or measured.
type line struct {
	Group  string   `json:"group"`
	Name   string   `json:"name"`
	State  state    `json:"state"`
	Figure *float64 `json:"figure,omitempty"`
	Unit   string   `json:"unit,omitempty"`
	Want   string   `json:"want,omitempty"`   // what the figure is held to
	Reason string   `json:"reason,omitempty"` // of a failure or skip, or what else there is to say
}

// report is the outcome of a run.
type report struct {
	Schema  int       `json:"schema"`
	Date    time.Time `json:"date"`
	Program string    `json:"program"` // version of ingot
	Fake    bool      `json:"fake"`    // the driver is one: its rates and times mean nothing
	GPU     gpu       `json:"gpu"`
	Machine machine   `json:"machine"`
	Model   int64     `json:"model_bytes"`
	Seconds float64   `json:"seconds"`
	Notes   []string  `json:"notes"`
	Lines   []line    `json:"checks"`
}

// gpu is the GPU that was used.
type gpu struct {
	Name   string `json:"name"`
	UUID   string `json:"uuid"`
	Memory int64  `json:"memory"`
	Free   int64  `json:"free"` // when the run began
	CUDA   int    `json:"cuda"` // version of the driver's interface: 13000 is 13.0
	Driver string `json:"driver,omitempty"`
	Link   string `json:"link,omitempty"` // the best that the GPU and its slot can
}

// machine is where it was.
type machine struct {
	Kernel string `json:"kernel"`
	CPUs   int    `json:"cpus"`
	Memory int64  `json:"memory"`
	Free   int64  `json:"free"` // when the run began
	Torch  string `json:"torch,omitempty"`
}

func (r *report) count(s state) int {
	n := 0
	for _, l := range r.Lines {
		if l.State == s {
			n++
		}
	}
	return n
}

// print writes the table for people.
func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s, %s memory, CUDA %s%s\n", r.GPU.Name, size(r.GPU.Memory), cudaVersion(r.GPU.CUDA), mark(r.Fake, ", FAKE DRIVER: nothing here is about speed"))
	fmt.Fprintf(w, "model of %s, %d processors, %s memory, %.0f s\n\n", size(r.Model), r.Machine.CPUs, size(r.Machine.Memory), r.Seconds)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CHECK\t\tSTATE\tFIGURE\tWANT\t")
	for _, l := range r.Lines {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", l.Group, l.Name, l.State, l.figure(), l.Want, strings.Join(strings.Fields(l.Reason), " "))
	}
	_ = t.Flush() // to a reader who may have gone away
	for _, n := range r.Notes {
		fmt.Fprintf(w, "note: %s\n", n)
	}
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped, %d not judged\n", r.count(passed), r.count(failed), r.count(skipped), r.count(unjudged))
}

func (r *report) write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// figure is the figure with its unit.
func (l *line) figure() string {
	if l.Figure == nil {
		return ""
	}
	return strings.TrimSpace(number(*l.Figure) + " " + l.Unit)
}

// number has three digits that say something.
func number(v float64) string {
	switch {
	case v == float64(int64(v)) && v < 1e15:
		return strconv.FormatInt(int64(v), 10)
	case v >= 100 || v <= -100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// size is bytes in words.
func size(n int64) string {
	if n >= 1<<30 {
		return number(float64(n)/(1<<30)) + " GiB"
	}
	return number(float64(n)/(1<<20)) + " MiB"
}

func cudaVersion(v int) string { return fmt.Sprintf("%d.%d", v/1000, v%1000/10) }

func mark(is bool, text string) string {
	if is {
		return text
	}
	return ""
}
