package chunker

// Sizes, in plain bytes. They are part of the format: another value gives other
// chunks, and nothing stored before would be found again.
const (
	// MaxSize is the length of the longest chunk, and the step of the grid inside
	// a tensor.
	MaxSize = 2 << 20
	// OwnSize is the length from which a tensor starts a chunk of its own. Shorter
	// ones are gathered with their neighbours.
	OwnSize = 256 << 10
)

// Cut is the place of one chunk in a file: Length bytes, 1 to MaxSize, from
// Offset. DType is the type of the numbers in it, Opaque where none is known or
// the bytes are no numbers.
type Cut struct {
	Offset int64
	Length int
	DType  DType
}
