// Package completion completes command lines in shells: bash, zsh and fish. The script of a shell asks the program itself,
// so that what is proposed is what the program knows.
//
// It owns the three scripts and which words may follow others. It refuses to own what the words are: they come from the
// definitions of commands and flags. No message passes it. The simulator uses it too.
package completion
