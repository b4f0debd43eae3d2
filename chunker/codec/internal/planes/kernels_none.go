//go:build !amd64 || purego

package planes

// Accelerated reports whether kernels in assembly are in use.
const Accelerated = false

func split2(*Set, []byte) int    { return 0 }
func merge2([]byte, *Set) int    { return 0 }
func splitBF16(*Set, []byte) int { return 0 }
func mergeBF16([]byte, *Set) int { return 0 }
func split4(*Set, []byte) int    { return 0 }
func merge4([]byte, *Set) int    { return 0 }
func splitF32(*Set, []byte) int  { return 0 }
func mergeF32([]byte, *Set) int  { return 0 }

func difference(_, _, _ []byte, _ int) int { return 0 }
func apply(_, _, _ []byte, _ int) int      { return 0 }
func retract(_, _, _ []byte, _ int) int    { return 0 }

func pack(_, _, _ []byte) (done, count int) { return 0, 0 }
func unpack([]byte, *Packed) int            { return 0 }
func patch(_, _ []byte, _, _ *Packed) int   { return 0 }
