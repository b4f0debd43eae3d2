package tokens

// Checksum is what a token ends with.
var Checksum = checksum
