package app

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// didYouMean names the known name that is nearest to one that is wrong, where one is near.
func didYouMean(wrong string, known []string) string {
	best, least := "", 1+len(wrong)/3
	for _, name := range known {
		if d := distance(wrong, name); d < least || d == least && best == "" {
			best, least = name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance is how many letters have to be put in, left out or changed to make one word of the other (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for i := range row {
		row[i] = i
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			changed := diagonal
			if a[i] != b[j] {
				changed++
			}
			diagonal = row[j+1]
			row[j+1] = min(changed, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// otherVariables begin as settings do and are none: of the commands that talk to a running gateway.
var otherVariables = []string{"FLEETCAST_SERVER", "FLEETCAST_TOKEN", "FLEETCAST_CA_FILE"}

// StrayVariables returns a line for each variable that begins as settings do and is none. Other programs may have such
// ones, so they stop nothing.
func StrayVariables() ([]string, error) {
	all, err := Settings()
	if err != nil {
		return nil, err
	}
	known := slices.Clone(otherVariables)
	for _, s := range all {
		known = append(known, s.Variable)
	}
	var lines []string
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, envPrefix+"_") && !slices.Contains(known, name) {
			lines = append(lines, name+" is no setting"+didYouMean(name, known))
		}
	}
	slices.Sort(lines)
	return lines, nil
}
