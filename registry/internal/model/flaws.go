package model

// Flaw is a rule of a protocol that is left out, or a mistake that a program could
// make. The zero Flaw is none.
type Flaw uint8

// The flaws of Pushes. M1 to M14 and R1 to R9 are those of the design; the others
// are what the code could do wrong.
const (
	_    Flaw = iota
	M1        // names of objects are used again
	M2        // P4 is before P3: what is checked is not published
	M3        // no P4
	M4        // no G4: each collector deletes what it has not marked itself
	M5        // no G3
	M6        // G3 marks nothing for a pending head
	M7        // P5 is no compare-and-swap
	M8        // P0 after P1
	M9        // P1 uses what the active list names
	M10       // P1 uses what the store has, and G6 does not wait until it is gone
	M11       // a list may miss a key that was there all the time
	M12       // P1 uses what the store has, and an upload may come late
	M13       // P1 uses a place that the head's body does not have any more
	M14a      // G3 marks no bases
	M14b      // P4 checks no bases
	M14c      // P1 takes a place without its bases
	M14d      // P1 looks for the chunk alone in the active list
	R1        // no R3
	R2        // G3 marks nothing for next
	R3        // R0 after R1
	R4        // P1 uses what next names
	R5        // R4 is no compare-and-swap
	R6        // no R2: next is checked without being published
	R7        // M13 after a re-pointing
	R8        // a reader does not read the head again
	R9        // a reader reads the head again only once

	HeldElsewhere // R3 does not check what any version names

	P3Blind // P3 takes over a head that has been committed since it was read
	P3Epoch // P3 writes the epoch of its own time as e0
	P5Any   // P5 commits whatever is pending by then, another push's too

	RetryKeeps    // after a conflict, what the push has already is not held against lists
	RetryForgets  // after a conflict, only the new lists count
	ResumeForgets // who resumes a push takes over its e0, and not the lists that count
	ListsGone     // P4 takes a list that is not kept any more for an empty one

	ReapBlind         // giving up a commit is no compare-and-swap
	RestoreBlind      // taking a condemned version back is no compare-and-swap
	DeadRestored      // a dead version is taken back like a condemned one
	CondemnedUnmarked // G3 marks nothing for a condemned head
	G4Blind           // G4 is no compare-and-swap
	ListBeforeG2      // G3 reads the heads that a list from before G2 has

	SkipByKey        // G3 skips every head that G1 has read, whatever its version
	SkipLateVersion  // G1 reads the heads, and only then their registers' versions
	SkipWithoutMarks // who loses G2 goes on with the other's list, and skips by its own G1
	SkipTakeOver     // who takes over skips heads that are as they were when it came

	BaseLeftOut   // P3 names no base for a delta that the push has uploaded
	BaseListed    // P3 takes a base that a list names which counts
	BaseBeforeP0  // P3 takes a base from where a version had it before P0
	MoveDropsBase // R1 has copied the base of a delta, and the new body does not name it

	BodyUnmarked  // G3 does not mark the body itself
	BodyUnchecked // P4 does not check the body itself
)
