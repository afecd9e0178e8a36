/*
 * scoring - `espalier-worker score FILE.onnx --data KIND:PATH ...`: how well a network does on a data set, without
 * any coordinator.
 */
#ifndef WORKER_SCORING_H
#define WORKER_SCORING_H

/* argv[0] is the word "score". Returns the exit status: 0, 1 with a line on stderr, 2 with one when the command
 * line is wrong. */
int scoring_main(int argc, char **argv);

#endif
