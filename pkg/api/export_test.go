package api

// Problems is the closed list of codes.
var Problems = problems

// An Explanation says what a code means.
type Explanation = explanation
