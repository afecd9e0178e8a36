/*
 * training - `espalier-worker train`: the work of a TRAIN task, read from stdin as its packed WORK message, done
 * here without any coordinator. The same code as in a worker, so the same bits.
 *
 * After each epoch its state lies in OUT.checkpoint; the same command goes on from there.
 */
#ifndef WORKER_TRAINING_H
#define WORKER_TRAINING_H

/* argv[0] is the word "train". Returns the exit status: 0, 1 with a line on stderr, 2 with one when the command
 * line is wrong. */
int training_main(int argc, char **argv);

#endif
