# shim
from s2m2.selfsupervision import exemplar_loss as exemplar_loss
