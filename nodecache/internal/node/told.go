package node

// Told turns an error that came with an Ask of a lease on a GPU into what its
// client is told.
func Told(what string, err error) error { return told(what, err) }
