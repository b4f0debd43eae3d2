package main

import (
	"cmp"
	"fmt"
	"math"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// none spells what is not wanted.
const none = "none"

// orNone reads none as nothing, and all else as parse does.
func orNone[T any](nothing T, parse func(string) (T, bool)) func(string) (T, bool) {
	return func(text string) (T, bool) {
		if text == none {
			return nothing, true
		}
		return parse(text)
	}
}

// spellNone spells nothing as none, and all else as spell does.
func spellNone[T comparable](nothing T, spell func(T) string) func(T) string {
	return func(value T) string {
		if value == nothing {
			return none
		}
		return spell(value)
	}
}

func asIs(text string) string { return text }

// parsePath refuses what only a shell can read: outside of one, ~ would be a folder
// of that name.
func parsePath(text string) (string, bool) {
	return text, text != "" && !strings.HasPrefix(text, "~") && !strings.ContainsRune(text, 0)
}

func parseAddress(text string) (string, bool) {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return text, err == nil
}

func parseBool(text string) (yes, ok bool) {
	yes, err := strconv.ParseBool(text)
	return yes, err == nil
}

func spellBool(yes bool) string { return strconv.FormatBool(yes) }

// parseWord reads one of the words, in any case.
func parseWord(words []string) func(string) (string, bool) {
	return func(text string) (string, bool) {
		word := strings.ToLower(text)
		return word, slices.Contains(words, word)
	}
}

// oneOf spells a choice.
func oneOf(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// atLeast reads as parse does, and refuses what is less.
func atLeast[T cmp.Ordered](least T, parse func(string) (T, bool)) func(string) (T, bool) {
	return func(text string) (T, bool) {
		value, ok := parse(text)
		return value, ok && value >= least
	}
}

// atMost reads as parse does, and refuses what is more.
func atMost[T cmp.Ordered](most T, parse func(string) (T, bool)) func(string) (T, bool) {
	return func(text string) (T, bool) {
		value, ok := parse(text)
		return value, ok && value <= most
	}
}

// A store is a bucket and what everything in it begins with. The registry judges
// both once more.
var (
	bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	prefixName = regexp.MustCompile(`^([A-Za-z0-9_-][A-Za-z0-9._-]*/)*([A-Za-z0-9_-][A-Za-z0-9._-]*)?$`)
)

func parseStore(text string) (string, bool) {
	rest, ok := strings.CutPrefix(text, "s3://")
	bucket, prefix, _ := strings.Cut(rest, "/")
	return strings.TrimRight(text, "/"), ok && bucketName.MatchString(bucket) && prefixName.MatchString(prefix)
}

// parseBuckets reads names with commas between them.
func parseBuckets(text string) ([]string, bool) {
	names := strings.Split(text, ",")
	for i, name := range names {
		names[i] = strings.TrimSpace(name)
		if !bucketName.MatchString(names[i]) || slices.Contains(names[:i], names[i]) {
			return nil, false
		}
	}
	return names, true
}

func spellNames(names []string) string {
	if len(names) == 0 {
		return none
	}
	return strings.Join(names, ",")
}

// parseGrace reads registry.Config's GCGrace.
func parseGrace(text string) (time.Duration, bool) {
	grace, ok := orNone(0, atMost(mostGrace, atLeast(0, parseSpan)))(text)
	if grace == 0 {
		grace = -1
	}
	return grace, ok
}

func parseSize(text string) (int64, bool) {
	var size bytesValue
	err := size.Set(text)
	return int64(size), err == nil
}

// spellSize spells a size in the largest unit that leaves no rest.
func spellSize(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	for n != 0 && n%1024 == 0 && len(units) > 1 {
		n, units = n/1024, units[1:]
	}
	return strconv.FormatInt(n, 10) + units[0]
}

// parseReserve reads registry.Config's Reserve.
func parseReserve(text string) (int64, bool) {
	switch text {
	case "auto":
		return 0, true
	case "none":
		return -1, true
	}
	return parseSize(text)
}

func spellReserve(reserve int64) string {
	switch {
	case reserve == 0:
		return "auto"
	case reserve < 0:
		return "none"
	}
	return spellSize(reserve)
}

const day = 24 * time.Hour

// parseSpan reads a duration that may begin with days, such as 7d or 1d12h.
func parseSpan(text string) (time.Duration, bool) {
	days, rest, found := strings.Cut(text, "d")
	if !found {
		span, err := time.ParseDuration(text)
		return span, err == nil
	}
	n, err := strconv.ParseUint(days, 10, 32)
	if err != nil || n >= uint64(math.MaxInt64/day) {
		return 0, false
	}
	span, err := time.ParseDuration(cmp.Or(rest, "0"))
	return time.Duration(n)*day + span, err == nil && span >= 0 && span < day
}

// spellSpan leaves out what is zero.
func spellSpan(span time.Duration) string {
	days, rest := span/day, (span % day).String()
	if strings.HasSuffix(rest, "m0s") {
		rest = strings.TrimSuffix(rest, "0s")
	}
	if strings.HasSuffix(rest, "h0m") {
		rest = strings.TrimSuffix(rest, "0m")
	}
	switch {
	case days == 0:
		return rest
	case rest == "0s":
		return fmt.Sprintf("%dd", days)
	}
	return fmt.Sprintf("%dd%s", days, rest)
}

// parseCount reads a number of things, at least one.
func parseCount(text string) (int, bool) {
	n, err := strconv.ParseInt(text, 10, 32)
	return int(n), err == nil && n > 0
}

// parsePercent reads a part of a whole.
func parsePercent(text string) (int, bool) {
	n, ok := parseCount(text)
	return n, ok && n <= 100
}

// parseMode reads who may use a file, as chmod does.
func parseMode(text string) (uint32, bool) {
	n, err := strconv.ParseUint(text, 8, 32)
	return uint32(n), err == nil && n <= 0o777
}

func spellMode(mode uint32) string { return fmt.Sprintf("%04o", mode) }
