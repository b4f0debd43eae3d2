package versions

// Tally adds things to a tally of at most most, and returns what it says.
func Tally(most int, things func(add func(thing int, n uint32))) (bytes int64, count int) {
	t := newTally(most)
	things(func(thing int, n uint32) { t.add(hashOf(thing), n) })
	return t.bytes(), t.count()
}
