package sse

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// rows are the hostile inputs of the project's list that come in by HTTP and concern streams (36 to 43), and those of
// WebSocket (45 to 47), with the tests that hold each, here, in the hub and in ws. Row 44, and what is whose, are
// gateway/api's and gateway/app's.
var rows = map[string][]string{
	"36 a browser stops reading": {"TestAReaderThatStandsHoldsNobodyElseUp", "TestAReaderThatStandsIsClosedAsStalled", "TestTheKernelHoldsLittleOfAStream", "TestAReaderMayBeAsSlowAsItLikes", "TestSlowViewersCostNoMoreTheLongerTheyAreSlow", "TestASlowStreamOverHTTP2IsOnlyLateAndSlowsNoOther"},
	"37 a Last-Event-ID that is garbage, huge, of another epoch or another's": {"TestGarbageInThePositionIsASnapshot", "TestThePositionIsNeverAnErrorAndTheHeaderWins", "TestForgedIDsDoNoHarm", "TestIDsThatCannotBeAnsweredAreReset", "TestAnEdgeThatLagsWaitsThenResets"},
	"38 a gap larger than what is kept":                                       {"TestIDsThatCannotBeAnsweredAreReset", "TestAPositionBelowTheEventsThatAreKeptIsReset", "TestASnapshotWhoseRemovalsAreForgottenIsReset", "TestWhatABoxKeepsIsBounded"},
	"39 everybody comes back at once":                                         {"TestDrainEndsStreamsSpreadAndSaysWhenToComeBack", "TestACrowdThatComesBackSharesItsSlices", "TestACrowdWithoutIDsSharesOneSnapshot", "TestACrowdCatchesUpInTurns", "TestADrainSaysWhenToComeBack"},
	"40 an answer that is not 200":                                            {"TestAboveTheLimitAnEventSourceIsToldToComeBackAndOthersTheTruth", "TestThoseWhoAreShedAreToldInPlainBytes"},
	"41 a proxy that buffers or cuts":                                         {"TestThroughNginxEventsComeAtOnceAndTheEndIsClean", "TestThroughHAProxyEventsComeAtOnceAndTheEndIsClean", "TestTheBytesOnTheWireAreTheHeadARetryAndTheHubs", "TestAQuietViewerGetsEachHeartbeatOnce"},
	"42 the seventh tab":                                                      {"TestOverHTTP2TheStreamGoesThroughTheHandler", "TestASlowStreamOverHTTP2IsOnlyLateAndSlowsNoOther"}, // and the client package's test/tabs.test.ts
	"43 filters that are bombs":                                               {"TestWrongParametersAreNamed", "TestTheGridFindsEveryPositionInABox", "TestOnlyTheStreamsOwnCallerChangesItsView", "TestTheViewOfAStreamChangesAtABoundedRate", "TestLimitsRefuseWithAReason", "FuzzQuery", "FuzzChange"},
	"45 a foreign Origin with a valid cookie":                                 {"TestRow45AForeignOriginIsRefused"},
	"46 huge frames, fragments, pings, compression":                           {"TestRow46AFrameOfAGigabyteIsRefused", "TestRow46AMessageOfEndlessFragmentsIsRefused", "TestRow46AFloodOfPingsIsRefused", "TestRow46TooManyMessagesAreRefused", "TestRow46NothingIsCompressed", "TestWrongMessagesAreAnswered"},
	"47 no pong, no reading":                                                  {"TestRow47AClientThatNeverAnswersAPingIsClosed", "TestRow47AClientThatNeverReadsIsClosedAndHoldsNobodyUp", "TestASlowReaderIsOnlyLate"},
}

func TestEveryRowOfHostileInputHasItsTests(t *testing.T) {
	known := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	for _, dir := range []string{".", "hub", "ws"} {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range declared.FindAllSubmatch(b, -1) {
				known[string(match[1])] = true
			}
		}
	}
	for row, tests := range rows {
		for _, name := range tests {
			if !known[name] {
				t.Errorf("row %s: there is no %s", row, name)
			}
		}
	}
}
