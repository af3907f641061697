/* Keeps a segment of 64 GiB full with pages and their indices, evicting the oldest object when
 * nothing fits, and restarts from a snapshot. The memory of the segment need not be here: only
 * offsets are handled.
 *
 * cc segment.c -I dist/include -L dist/lib -lmc_alloc
 */

#include <inttypes.h>
#include <mc_alloc.h>
#include <stdio.h>
#include <stdlib.h>

#define LIVE_MAX 100000

static void check(mc_status status) {
  if (status == MC_STATUS_OK) return;
  fprintf(stderr, "%s: %s\n", mc_status_name(status), mc_error_message());
  exit(1);
}

int main(void) {
  const mc_offset_options options = mc_offset_options_default(0, (uint64_t)64 << 30);
  mc_offset segment;
  check(mc_offset_create(&options, &segment));

  /* A queue of what is live, the oldest first. */
  mc_token *live = calloc(LIVE_MAX, sizeof *live);
  if (live == NULL) return 1;
  size_t oldest = 0, newest = 0;
  while (newest < LIVE_MAX) {
    const uint64_t size = newest % 2 == 0 ? 3274752 : 658432;
    const mc_status status = mc_offset_allocate(segment, size, &live[newest]);
    if (status == MC_STATUS_NO_SPACE) {
      check(mc_offset_free(segment, live[oldest++]));
    } else {
      check(status);
      ++newest;
    }
  }

  mc_offset_report report;
  check(mc_offset_describe(segment, &report));
  printf("%" PRIu64 " objects, %.2f %% of the segment, largest hole %" PRIu64 " bytes\n",
         report.allocation_count, 100.0 * (double)report.live_bytes / (double)report.capacity,
         report.largest_hole);

  /* A token frees once; a second time is an error and changes nothing. */
  check(mc_offset_free(segment, live[oldest]));
  if (mc_offset_free(segment, live[oldest]) != MC_STATUS_NOT_LIVE) return 1;
  printf("freed twice: %s\n", mc_error_message());

  size_t length = 0;
  mc_status status = mc_offset_snapshot(segment, NULL, 0, &length);
  if (status != MC_STATUS_ARRAY_TOO_SHORT) check(status);
  uint8_t *bytes = malloc(length);
  if (bytes == NULL) return 1;
  check(mc_offset_snapshot(segment, bytes, length, &length));
  check(mc_offset_destroy(segment));

  mc_offset restored;
  check(mc_offset_restore(0, bytes, length, &restored));
  size_t count = 0;
  status = mc_offset_live(restored, NULL, 0, &count);
  if (status != MC_STATUS_ARRAY_TOO_SHORT) check(status);
  printf("%zu objects restored from %zu bytes\n", count, length);
  check(mc_offset_destroy(restored));
  free(bytes);
  free(live);
  return 0;
}
