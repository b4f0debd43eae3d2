package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// Between these lines of the document stands the table.
const (
	tableBegin = "<!-- table of make gpu-check: begin -->\n"
	tableEnd   = "<!-- table of make gpu-check: end -->\n"
)

// tableInto puts the table of a report into a document.
func tableInto(file, document string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read the report: %w", err)
	}
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("read the report %s: %w", file, err)
	}
	if r.Schema != schema {
		return fmt.Errorf("report %s has schema %d, want %d", file, r.Schema, schema)
	}
	page, err := os.ReadFile(document)
	if err != nil {
		return fmt.Errorf("read the document: %w", err)
	}
	head, rest, found := bytes.Cut(page, []byte(tableBegin))
	_, tail, ended := bytes.Cut(rest, []byte(tableEnd))
	if !found || !ended {
		return fmt.Errorf("document %s has no place for the table: want the lines %q and %q", document, tableBegin, tableEnd)
	}
	page = bytes.Join([][]byte{head, []byte(tableBegin), []byte(r.markdown()), []byte(tableEnd), tail}, nil)
	return os.WriteFile(document, page, 0o644)
}

// markdown is the report as the document has it.
func (r *report) markdown() string {
	var b strings.Builder
	if r.Fake {
		fmt.Fprintf(&b, "\nA run over the fake driver, on %s: it shows that the checks run, and says nothing about a GPU.\n", r.Date.Format("2006-01-02"))
	} else {
		fmt.Fprintf(&b, "\nMeasured on %s.\n", r.Date.Format("2006-01-02"))
	}
	fmt.Fprintf(&b, "\n| | |\n|---|---|\n")
	row := func(name, value string) { fmt.Fprintf(&b, "| %s | %s |\n", name, cell(value)) }
	row("GPU", fmt.Sprintf("%s, %s, %s free", r.GPU.Name, size(r.GPU.Memory), size(r.GPU.Free)))
	row("driver", strings.TrimSpace(r.GPU.Driver+" CUDA "+cudaVersion(r.GPU.CUDA)))
	if r.GPU.Link != "" {
		row("link", r.GPU.Link)
	}
	row("machine", fmt.Sprintf("%d processors, %s memory, Linux %s", r.Machine.CPUs, size(r.Machine.Memory), r.Machine.Kernel))
	row("ingot", r.Program)
	if r.Machine.Torch != "" {
		row("PyTorch", r.Machine.Torch)
	}
	row("model", size(r.Model))
	row("time", fmt.Sprintf("%.0f s", r.Seconds))
	fmt.Fprintf(&b, "\n| group | check | state | figure | wanted | |\n|---|---|---|---:|---|---|\n")
	for _, l := range r.Lines {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", cell(l.Group), cell(l.Name), l.State, cell(l.figure()), cell(l.Want), cell(l.Reason))
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "\n%s\n", n)
	}
	return b.String()
}

// cell makes text fit into a cell of a table.
func cell(text string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ", "<", "&lt;").Replace(text)
}
