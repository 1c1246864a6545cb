package scenario

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A row is a fault or a clock that an installation must live with, and the tests that hold that it does, as folder and
// name. Scenarios are here; what one part can be tried with alone is tried there, in less time and at more moments.
type row struct {
	condition string
	tests     []string
}

// faultsAndClocks is the table of what may happen to an installation, beside what its users may do to it. A test that is
// renamed is renamed here: TestEveryRowHasItsTests holds it.
var faultsAndClocks = []row{
	{"Redis is down at the start", []string{
		"bridge/redisbus.TestAStoreThatIsDownAtTheStartIsWaitedFor", "devices/store/redis.TestAServerThatIsDownAtTheStartIsWaitedFor",
		"gateway/app.TestADoorThatDoesNotKnowWhoMayConnectIsNotReady",
	}},
	{"Redis is restarted, killed or silent", []string{
		"simulator/scenario.TestNothingAcknowledgedIsLostWhenRedisGoesAway", "bridge/redisbus.TestACleanRestartResetsNobody",
		"bridge/redisbus.TestABlackHoleOfThirtySecondsIsSurvived", "gateway/app.TestALostStoreIsSaidByDoorsAndBridgesWhileEdgesStayReady",
		"devices/store/redis.TestAServerThatWasKilledAndKeptItsDataCostsNothing", "devices/store/redis.TestAPathThatIsDeadButOpenIsNoticed",
		"gateway/mqttin.TestInAnOutageQoS0IsKeptAsTheNewestOfEachDevice",
	}},
	{"Redis fails over, by agreement or not", []string{
		"simulator/scenario.TestNothingAcknowledgedIsLostWhenAClusterFailsOver", "bridge/redisbus.TestAFailoverBySentinelIsSurvived",
		"devices/store/redis.TestAFailoverOfAClusterIsSurvived",
	}},
	{"Redis lost what it had taken, or was set back", []string{
		"bridge/redisbus.TestAStoreThatWentBackBeginsANewEpoch", "devices/store/redis.TestCommitsThatReplaceLostOnesAreTold",
	}},
	{"Redis is a replica, or out of memory", []string{
		"bridge/redisbus.TestAReplicaTakesNothing", "bridge/redisbus.TestOutOfMemoryDoorsWaitAndOwnersGoOn",
		"devices/store/redis.TestAServerThatTakesNoWritesSaysSoAndReadsGoOn",
	}},
	{"Redis is slow", []string{"simulator/scenario.TestNothingAcknowledgedIsLostWhenRedisIsSlow"}},
	{"the external broker is restarted, or forgot the session", []string{
		"simulator/scenario.TestNothingThatABrokerInFrontAcknowledgedIsLost", "gateway/mqttin.TestASessionThatTheBrokerForgotIsTold",
		"gateway/mqttin.TestABrokerThatIsDownAtTheStartIsWaitedFor",
	}},
	{"the external broker sends more than it was told to", []string{
		"gateway/mqttin.TestABrokerThatSendsTooMuchLosesItsConnection", "gateway/mqttin.TestAnUpstreamWithoutRoomWaitsAndGivesUp",
	}},
	{"bytes come late, in pieces, on connections that end", []string{"simulator/scenario.TestABadNetworkMakesEverythingLateAndLosesNothing"}},
	{"the other end is gone without a word", []string{
		"simulator/scenario.TestHalfOpenConnectionsAreGivenUp", "gateway/mqttin.TestASilentClientEndsAfterItsKeepAlive",
		"gateway/mqttin.TestABlackHoleIsNoticedByTheKeepAlive", "bridge/redisbus.TestABlackHoleIsNoSilentGap",
	}},
	{"names do not resolve", []string{"gateway/app.TestNamesThatDoNotResolveAreAskedForAgainAndCostNothing"}},
	{"there is no IPv4", []string{"gateway/app.TestAnInstallationNeedsNoIPv4"}},
	{"device clocks lie", []string{
		"bridge.TestNoClockFreezesADevice", "bridge.TestADeviceWithAWrongClockMoves", "bridge.TestDeviceTimeIsSettled",
		"bridge.TestOneClockThatIsWrongNeitherFreezesADeviceNorEndsItsTrail",
	}},
	{"the server's clock steps back or stands", []string{
		"bridge/bus.TestEntriesCarryTheTimeOfTheInletWhichNeverDecreases", "bridge.TestAServerClockThatStandsStillLosesNothing",
		"devices/store/redis.TestAServerThatLostCommitsIsReadAgain",
	}},
	{"messages come twice, out of order, over two ways", []string{
		"bridge.TestDuplicatesAndDisorderLeaveTheNewest", "bridge.TestADuplicateIsHeardAndChangesNothing",
		"gateway/mqttin.TestQoS2RepeatedAfterAReconnectIsStoredOnce", "simulator/scenario.TestFieldsFromTwoDoorsMeetThoughTheOwnerIsKilledBetween",
	}},
	{"processes are killed", []string{
		"simulator/scenario.TestASingleProcessKeepsWhatItAcknowledgedOverKills", "bridge/diskbus.TestAProcessThatIsKilledAtAnyMomentKeepsItsWord",
		"simulator/scenario.TestAnyEdgeBehindAProxyWithoutStickinessResumesAnyViewer",
		"simulator/scenario.TestNothingAcknowledgedIsLostWhereThreeOfEachTakeOver",
		"simulator/scenario.TestEveryPlaceThatWasAcknowledgedIsInTheTrailOverKills",
		"simulator/scenario.TestEveryAlertIsRaisedOnceOverKills", "simulator/scenario.TestEveryAlertIsRaisedOnceThoughTheirOwnersDie",
		"simulator/scenario.TestAReadingThatIsReadAfterItsDevicesDeletionByANewOwnerDoesNotBringItBack",
		"devices/store/embedded.TestAProcessThatIsKilledKeepsWhatItCommittedAndNothingByHalves",
	}},
	{"a process with streams is told to stop", []string{
		"sse.TestDrainEndsStreamsSpreadAndSaysWhenToComeBack", "gateway/app.TestOpenStreamsAndConnectedDevicesDoNotHoldAStopUp",
	}},
	{"there is no memory left, or little", []string{
		"simulator/scenario.TestAProcessThatRunsOutOfMemoryKeepsWhatItAcknowledged", "simulator/scenario.TestAMemoryLimitThatIsTooLowLosesNothing",
	}},
	{"the disk is full", []string{
		"bridge/diskbus.TestAFullDiskRefusesAndNothingIsTorn", "bridge/diskbus.TestARealFullFileSystem",
		"bridge/diskbus.TestADiskWithRoomAgainIsFoundWithoutAnybodySending",
		"devices/store/embedded.TestAFullDiskRefusesCommitsAndLosesNothing",
	}},
	{"files are damaged", []string{
		"bridge/diskbus.TestEveryFlippedBitIsFound", "devices/store/embedded.TestDamageAnywhereIsFound",
	}},
	{"there are no file descriptors left", []string{"gateway/mqttin.TestWantOfFileDescriptorsPasses"}},
	{"our own code breaks on a message or a stream", []string{
		"bridge.TestAnEntryOnWhichOurCodeBreaksStopsNothing", "gateway/mqttin.TestAPanicInTheHandlerCostsItsMessage", "sse.TestAPanicEndsOneStreamOnly",
	}},
}

func TestEveryRowHasItsTests(t *testing.T) {
	named := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	known := make(map[string]map[string]bool) // by folder
	for _, r := range faultsAndClocks {
		if len(r.tests) == 0 {
			t.Errorf("nothing holds that %s", r.condition)
		}
		for _, test := range r.tests {
			folder, name, _ := strings.Cut(test, ".")
			if known[folder] == nil {
				known[folder] = make(map[string]bool)
				files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(folder), "*_test.go"))
				if err != nil {
					t.Fatal(err)
				}
				for _, path := range files {
					text, err := os.ReadFile(path)
					if err != nil {
						t.Fatal(err)
					}
					for _, m := range named.FindAllSubmatch(text, -1) {
						known[folder][string(m[1])] = true
					}
				}
			}
			if !known[folder][name] {
				t.Errorf("%s: there is no test %s in %s", r.condition, name, folder)
			}
		}
	}
}
