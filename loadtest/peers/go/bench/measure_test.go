// What the benchmarks share. They are the counterparts of gcruntime's gc_bench, fiber_bench and
// sync_bench: the same work under the same names, run side by side by deploy/benchmarks.
package bench

import (
	"flag"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// One processor, as the counterparts have one worker; the benchmarks count on it.
func TestMain(m *testing.M) {
	runtime.GOMAXPROCS(1)
	os.Exit(m.Run())
}

// processCPU is user and system time of the whole process: the collector's threads are in it.
func processCPU(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func cycles() uint32 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.NumGC
}

// measure begins what is measured; what it returns ends it. An iteration does `items` things, and the
// figures are those of one of them.
func measure(b *testing.B, items int) (end func()) {
	b.ReportAllocs()
	cyclesBefore := cycles()
	b.ResetTimer()
	before := processCPU(b)
	return func() {
		b.StopTimer()
		used := processCPU(b) - before
		things := float64(b.N) * float64(items)
		b.ReportMetric(float64(used.Nanoseconds())/things, "cpu-ns/item")
		b.ReportMetric(float64(cycles()-cyclesBefore), "cycles")
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/things, "ns/item")
	}
}

var all = map[string]func(*testing.B){
	"Allocate64Scanned":          BenchmarkAllocate64Scanned,
	"Allocate64Noscan":           BenchmarkAllocate64Noscan,
	"Allocate64ScannedLive16MiB": BenchmarkAllocate64ScannedLive16MiB,
	"Allocate64NoscanLive16MiB":  BenchmarkAllocate64NoscanLive16MiB,
	"MapInsert":                  BenchmarkMapInsert,
	"MapFind":                    BenchmarkMapFind,
	"BinaryTreesDepth16":         BenchmarkBinaryTreesDepth16,
	"YieldPingPong":              BenchmarkYieldPingPong,
	"YieldRoundRobin200":         BenchmarkYieldRoundRobin200,
	"SpawnRunJoin":               BenchmarkSpawnRunJoin,
	"SpawnRunBatch":              BenchmarkSpawnRunBatch,
	"MutexUncontended":           BenchmarkMutexUncontended,
	"MutexHandOver":              BenchmarkMutexHandOver,
	"ChannelUnbuffered":          BenchmarkChannelUnbuffered,
	"ChannelBuffered":            BenchmarkChannelBuffered,
}

func TestEachBenchmarkRuns(t *testing.T) {
	once := flag.Lookup("test.benchtime")
	before := once.Value.String()
	if err := once.Value.Set("1x"); err != nil {
		t.Fatal(err)
	}
	defer once.Value.Set(before)
	for name, run := range all {
		if result := testing.Benchmark(run); result.N != 1 || result.Extra["ns/item"] <= 0 {
			t.Errorf("%s: %+v", name, result)
		}
	}
}
