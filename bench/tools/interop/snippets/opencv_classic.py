import cv2


def load(path):
    net = cv2.dnn.readNetFromONNX(path, cv2.dnn.ENGINE_CLASSIC)

    def run(x):
        net.setInput(x)
        return net.forward()

    return run
