/* Runs a signature of a SavedModel with TensorFlow's C API: no Python, no project code.

   c_runtime DIRECTORY INPUT ACTION Q_VALUES DIMS < uint8 tensor > action int64, q_values float32
   INPUT, ACTION, Q_VALUES name tensors (serving_default_observation:0); DIMS is as 2,84,84,4.
   On an error: its code and message on stderr, exit status 1. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tensorflow/c/c_api.h>

static TF_Status *status;

static void check(void) {
  if (TF_GetCode(status) == TF_OK) return;
  fprintf(stderr, "%d %s\n", TF_GetCode(status), TF_Message(status));
  exit(1);
}

static TF_Output tensor(TF_Graph *graph, char *name) {
  char *colon = strchr(name, ':');
  *colon = '\0';
  TF_Output output = {TF_GraphOperationByName(graph, name), atoi(colon + 1)};
  if (output.oper == NULL) {
    fprintf(stderr, "no operation %s\n", name);
    exit(1);
  }
  return output;
}

int main(int argc, char **argv) {
  if (argc != 6) return 2;
  status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  TF_SessionOptions *options = TF_NewSessionOptions();
  const char *tags[] = {"serve"};
  TF_Session *session = TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1, graph, NULL,
                                                     status);
  check();

  int64_t dims[8];
  int num_dims = 0;
  size_t size = 1;
  for (char *dim = strtok(argv[5], ","); dim != NULL && num_dims < 8; dim = strtok(NULL, ",")) {
    dims[num_dims] = atoll(dim);
    size *= dims[num_dims++];
  }
  TF_Tensor *in = TF_AllocateTensor(TF_UINT8, dims, num_dims, size);
  if (fread(TF_TensorData(in), 1, size, stdin) != size) return 2;

  TF_Output input = tensor(graph, argv[2]);
  TF_Output outputs[] = {tensor(graph, argv[3]), tensor(graph, argv[4])};
  TF_Tensor *values[2];
  TF_SessionRun(session, NULL, &input, &in, 1, outputs, values, 2, NULL, 0, NULL, status);
  check();
  for (int i = 0; i < 2; i++) fwrite(TF_TensorData(values[i]), 1, TF_TensorByteSize(values[i]), stdout);
  return 0;
}
