/* Prints each transition of adieu.pml the first time that the search takes it. */
#include <stdio.h>

static const char* const kStanding[] = {"unknown", "alive", "silent", "suspect", "gone"};
static const char* const kSince[] = {"first", "same", "heard"};
static const char* const kCommand[] = {"none", "probe", "abort", "evict"};
static const char* const kOutcome[] = {"?",           "done",    "wrong identity", "already ended", "wrong state",
                                       "heard since", "expired", "void",           "unable",        "too soon"};

static void note_verdict(unsigned before, unsigned since, unsigned after, unsigned command) {
  static unsigned char seen[5][3][5][4];
  if (seen[before][since][after][command]++ == 0)
    printf("verdict: %s, %s -> %s, %s\n", kStanding[before], kSince[since], kStanding[after], kCommand[command]);
  seen[before][since][after][command] = 1;
}

static void note_eviction(unsigned standing) {
  static unsigned char seen[5];
  if (seen[standing]++ == 0) printf("eviction: %s\n", kStanding[standing]);
  seen[standing] = 1;
}

static void note_receipt(unsigned command, unsigned outcome) {
  static unsigned char seen[4][10];
  if (seen[command][outcome]++ == 0) printf("receipt: %s -> %s\n", kCommand[command], kOutcome[outcome]);
  seen[command][outcome] = 1;
}
