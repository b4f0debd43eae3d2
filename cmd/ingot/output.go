package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dustin/go-humanize"

	"github.com/ingot-ml/ingot/chunker"
)

// answer is standard output. It keeps its first error, so that a line can be
// printed without looking, and a full disk still fails the command.
type answer struct {
	io.Writer
	err error
}

// Write implements io.Writer.
func (a *answer) Write(b []byte) (int, error) {
	n, err := a.Writer.Write(b)
	if a.err == nil {
		a.err = err
	}
	return n, err
}

// printJSON prints the one document of a command.
func (p *program) printJSON(document any) error {
	text, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		return fmt.Errorf("print JSON: %w", err)
	}
	p.printf("%s\n", text)
	return nil
}

// printf prints a line of the answer.
func (p *program) printf(format string, args ...any) { fmt.Fprintf(p.stdout, format, args...) }

// table prints rows in aligned columns.
type table struct {
	titles []string // one that starts with ">" aligns its column to the right
	rows   [][]string
}

// add adds a row. Cells beyond the titles are not shown.
func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// print writes the titles and the rows; nothing when there are no rows.
func (t *table) print(w io.Writer) {
	if len(t.rows) == 0 {
		return
	}
	titles := make([]string, len(t.titles))
	widths := make([]int, len(t.titles))
	for i, title := range t.titles {
		titles[i] = strings.TrimPrefix(title, ">")
		widths[i] = utf8.RuneCountInString(titles[i])
		for _, row := range t.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	for _, row := range append([][]string{titles}, t.rows...) {
		fmt.Fprintln(w, t.line(row, widths))
	}
}

func (t *table) line(row []string, widths []int) string {
	var b strings.Builder
	for i, cell := range row[:len(widths)] {
		space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		if strings.HasPrefix(t.titles[i], ">") {
			cell, space = space+cell, ""
		}
		b.WriteString(cell + space + "  ")
	}
	return strings.TrimRight(b.String(), " ")
}

// longList is how many rows of a list a person reads; --all shows the others.
const longList = 20

// printLong prints a table after an empty line, and of a long one the start
// unless all is wanted. Rest says what the others come to.
func (p *program) printLong(t table, all bool, rest string) {
	more := len(t.rows) - longList
	if all || more <= 1 { // a line in place of one row gains nothing
		p.printSection(t)
		return
	}
	t.rows = t.rows[:longList]
	p.printSection(t)
	p.printf("... and %d more%s (--all)\n", more, rest)
}

// printSection prints a table that has rows, after an empty line.
func (p *program) printSection(t table) {
	if len(t.rows) > 0 {
		p.printf("\n")
		t.print(p.stdout)
	}
}

// size spells bytes for people: exactly below 1 KiB, else in three digits.
func size[N int64 | uint64](n N) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", max(n, 0))
	}
	return humanize.IBytesN(uint64(n), 3)
}

// exactly spells bytes for people and to the byte.
func exactly(n int) string {
	if n < 1<<10 {
		return size(int64(n))
	}
	return fmt.Sprintf("%d bytes, %s", n, size(int64(n)))
}

// percent says how much of whole part is.
func percent(part, whole int64) string {
	if whole <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(part)/float64(whole))
}

// count spells a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return digits(n) + " " + thing + "s"
}

// things is count for many.
func things(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return thousands(n) + " " + thing + "s"
}

// thousands spells a large number.
func thousands(n int64) string { return humanize.Comma(n) }

// digits spells a number for a table.
func digits(n int) string { return strconv.Itoa(n) }

// seconds spells a duration for people.
func seconds(s float64) string { return strconv.FormatFloat(s, 'f', 2, 64) + " s" }

// ago spells a moment for people.
func ago(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return humanize.Time(t)
}

// shape spells a tensor's dimensions.
func shape(dims []uint64) string {
	words := make([]string, len(dims))
	for i, d := range dims {
		words[i] = strconv.FormatUint(d, 10)
	}
	return "[" + strings.Join(words, ",") + "]"
}

// shown returns a text that came from a file so that a terminal cannot mistake it
// for anything else.
func shown(s string) string {
	for _, r := range s {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return strconv.Quote(s)
		}
	}
	return s
}

// short abbreviates a digest that comes as text.
func short(digest string) string {
	d, err := chunker.ParseDigest(digest)
	if err != nil {
		return shown(digest)
	}
	return d.Short()
}

// bytesValue is a flag of a size such as 20GiB.
type bytesValue int64

func (v *bytesValue) String() string {
	return strings.ReplaceAll(humanize.IBytes(uint64(*v)), " ", "")
}

func (v *bytesValue) Type() string { return "SIZE" }

// Set reads a size of 1 byte to 2^60.
func (v *bytesValue) Set(s string) error {
	n, err := humanize.ParseBytes(s)
	if err != nil || n < 1 || n > 1<<60 {
		return fmt.Errorf("%.40q is not a size such as 512MiB or 20GiB", s)
	}
	*v = bytesValue(n)
	return nil
}
