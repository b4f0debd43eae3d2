package manifest

// Limits of version 1 of the document. They are part of the format: a document
// beyond them is invalid, whoever wrote it.
const (
	// MaxSize bounds a document in bytes. It is 25 times the document of a 140 GB
	// model, and what a server can afford to hold for an unknown client.
	MaxSize = 64 << 20
	// MaxChunk is the plain length in bytes of the longest chunk.
	MaxChunk = 2 << 20
	// MaxPlain bounds the plain bytes of all files together: about what a document
	// of MaxSize can describe with distinct chunks. Without it, four bytes that
	// repeat a chunk would buy two more MiB on the reader's disk.
	MaxPlain = 4 << 40
	// MaxFiles bounds the files of a version. A folder of more is a data set.
	MaxFiles = 100_000
	// MaxTensors bounds the tensors of a version. The largest mixtures of experts
	// have some 200,000; a tensor in memory is four times its smallest encoding.
	MaxTensors = 1 << 20
	// MaxPath and MaxSegment bound a path and each of its segments in bytes, as
	// the usual file systems do.
	MaxPath    = 4096
	MaxSegment = 255
	// MaxPathBytes bounds all paths together: 80 bytes for each of MaxFiles. Case
	// folding makes paths the dearest bytes of a document to check.
	MaxPathBytes = 8 << 20
	// MaxFormat bounds the word that names a file's format, in bytes.
	MaxFormat = 32
	// MaxTensorName and MaxTensorType bound a tensor's name and the container's
	// word for its element type, in bytes.
	MaxTensorName = 1024
	MaxTensorType = 64
	// MaxRank bounds a tensor's dimensions. NumPy stops at 64, CUDA libraries
	// at 8; no model comes near 32.
	MaxRank = 32
	// MaxAnnotations, MaxKey and MaxValue bound the number of annotations and the
	// bytes of each; MaxAnnotationBytes bounds all keys and values together.
	// They are for facts about the version; what is longer is a file.
	MaxAnnotations     = 1024
	MaxKey             = 256
	MaxValue           = 64 << 10
	MaxAnnotationBytes = 1 << 20
)
