// The exit codes of tailrace-load: users' scripts rely on them.
#pragma once

namespace tailrace::loadtest {

enum ExitCode : int {
  kPass = 0,
  kThresholdFailed = 1,
  kUsage = 2,
  kInvalid = 3,      // generator or host were the limit: the figures say nothing about the server
  kUnreachable = 4,  // or most requests failed
  kNoKnee = 5,
  kRegression = 6,
  kInterrupted = 130,  // a partial report was written
};

}  // namespace tailrace::loadtest
